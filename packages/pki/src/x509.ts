// First of all: @peculiar/x509 throws at import unless this was evaluated before it, anywhere in the process.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** The X.509 library. The one place that imports it, because of the order that it demands. */
export { x509 };
