// Package sim starts real signing devices that are not hardware, in a private
// folder: a SoftHSM token, a PKCS#11 module that fails on demand in front of it, a
// PKCS#11 server that can be killed, a TPM, a reader with virtual PIV cards, and the
// PKCS#11 modules that others wrote for the last two. They run the code that
// hardware runs, and protect nothing: tests, the demo and sealward-sim use them, and
// the daemon cannot be linked with this package.
package sim
