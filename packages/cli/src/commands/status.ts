import { AppError } from '@sealift/core';
import type { ConfigOf } from '../config.ts';
import { readNodeStatus } from '../node-admin.ts';
import type { STATUS_OPTIONS } from '../options.ts';

/** `sealift status`: what the node of this data directory is doing. */
export async function runStatus({ data, json }: ConfigOf<typeof STATUS_OPTIONS>): Promise<void> {
  let status: Record<string, unknown>;
  try {
    status = await readNodeStatus(data);
  } catch (error) {
    throw new AppError(
      'CONFIG_INVALID',
      {
        reason: `no node answers in ${data}`,
        advice: 'Start it with `sealift node`, or name its data directory with --data.',
      },
      { cause: error },
    );
  }
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${describe(status, '')}\n`);
}

function describe(value: Record<string, unknown>, indent: string): string {
  return Object.entries(value)
    .map(([key, item]) =>
      item !== null && typeof item === 'object' && !Array.isArray(item)
        ? `${indent}${key}\n${describe(item as Record<string, unknown>, `${indent}  `)}`
        : `${indent}${key.padEnd(24 - indent.length)}${Array.isArray(item) ? JSON.stringify(item) : String(item)}`,
    )
    .join('\n');
}
