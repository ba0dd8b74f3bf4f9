/**
 * `npm run sbom [-- --output FILE]`: a software bill of materials of what runs in production, as CycloneDX 1.5 in JSON.
 * Made of the lock file alone, without time and random numbers: the same lock gives the same bytes. npm's own `npm sbom
 * --omit dev` is not used, because it leaves out packages that something for development needs too.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { billOfMaterials, type LockFile } from './bill-of-materials.ts';

const ROOT = path.dirname(import.meta.dirname);

const { values } = parseArgs({ options: { output: { type: 'string' } } });
const lock = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as LockFile;
const text = `${JSON.stringify(billOfMaterials(lock), undefined, 2)}\n`;
if (values.output === undefined) process.stdout.write(text);
else writeFileSync(values.output, text);
