// Package ledger adds up what keys were authorised to spend: rolling sums over
// windows of time, by public key, by caller, by recipient and by asset. The journal
// measures with it what limits count, and so does a policy that is tried on a record:
// there is one definition of what counts.
//
// # Order of work
//
// A [Spending] is what one authorisation lets go. [Ledger.Measure] says what a policy
// has to be told before it decides on one, and [Ledger.Add] counts it once it was
// authorised. Measuring a window costs the same however much is in it.
//
// # What counts
//
// An authorisation adds the bound of each quantity of its outflow, and one request.
// By recipient it adds what each could get ([signer.Intent.Flows]), and one request
// for each. What was added at t counts in a window w at now if t > now - w.
//
// What is not known counts against everything that it could be: an outflow of no asset
// is boundless in every asset, a flow to anybody is one to every recipient. No limit is
// ever met by not saying what is asked for. One authorisation is one request all the
// same: by recipient, it counts for all of them when part of it may go to anybody, and
// not once more for those that it names.
//
// # What we do not defend against
//
// What the ledger is not told. It is pure, believes what is added, and trusts that
// times do not decrease; where sums are kept and whether they are true is the business
// of package signer/journal.
package ledger
