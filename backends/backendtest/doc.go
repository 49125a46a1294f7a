// Package backendtest is the contract of a key as a test suite, and a key in
// memory for the tests of other packages.
//
// Only [signer.Engine] can authorise a message, so the suite goes through its
// front door: a real engine with a real verifier, a policy that allows everything,
// and a journal in memory. Only tests import this package.
package backendtest
