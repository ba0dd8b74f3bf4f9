/** A process that makes a testbed, says its name and the reaper's pid, and waits to be killed. For testbed.test.ts. */
import { Testbed } from './testbed.ts';

const testbed = await Testbed.start({ hosts: { one: [] } });
const service = testbed.network.host('one').start('waiting', ['sh', '-c', 'echo up; exec sleep 600']);
await service.waitFor('its start', (line) => line === 'up' || undefined);
process.stdout.write(`${testbed.name} ${testbed.reaperPid}\n`);
