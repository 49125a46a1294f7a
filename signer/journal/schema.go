package journal

import (
	"errors"
	"fmt"
)

// applicationID marks the file as a Sealward journal ("SWJL"), for file(1) and so
// that no other SQLite database is taken for one.
const applicationID = 0x53574a4c

// schemaVersion is in PRAGMA user_version. A later one is refused by name: what a
// version cannot hold, a program that knows no other would not heed. Version 1 has no
// table acts; version 2 has none of what schemaRecipients has, nor callers in table
// spends; version 3 has none of what schemaWaiting has. See upgrade.
const schemaVersion = 4

// Integers named time are nanoseconds since 1970. Amounts are decimal text, as
// they do not fit SQLite's integers.
const schema = schemaLog + schemaSpends + schemaActs + schemaRecipients + schemaWaiting

// schemaLog is what every version has.
const schemaLog = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per leaf, numbered from 0 without gaps.
CREATE TABLE leaves (
	leaf INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	type TEXT NOT NULL,
	salt BLOB NOT NULL,
	body BLOB NOT NULL
) STRICT;

-- One row per commit that added leaves: the tree's new hashes, in the order of
-- StoredHashIndex from first on, and where journal time stood
-- against boot time.
CREATE TABLE commits (
	first      INTEGER PRIMARY KEY,
	hashes     BLOB NOT NULL,
	boot       TEXT NOT NULL,
	since_boot INTEGER NOT NULL
) STRICT;

-- One row per request id and caller: the leaf of its decision.
CREATE TABLE requests (
	caller TEXT NOT NULL,
	id     TEXT NOT NULL,
	leaf   INTEGER NOT NULL,
	PRIMARY KEY (caller, id)
) STRICT, WITHOUT ROWID;

-- The answer to an authorisation: its first success, or else its last failure.
CREATE TABLE outcomes (
	authorization INTEGER PRIMARY KEY,
	leaf          INTEGER NOT NULL,
	signed        INTEGER NOT NULL
) STRICT;

CREATE TABLE checkpoints (
	size INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	note BLOB NOT NULL
) STRICT;
`

// schemaSpends is as version 3 has it.
const schemaSpends = `
-- What each authorisation reserved, per asset. No amount: it has no bound.
CREATE TABLE spends (
	leaf   INTEGER NOT NULL,
	asset  TEXT NOT NULL,
	key    TEXT NOT NULL,
	caller TEXT NOT NULL,
	time   INTEGER NOT NULL,
	amount TEXT,
	PRIMARY KEY (leaf, asset)
) STRICT, WITHOUT ROWID;
`

// schemaActs is what version 2 added.
const schemaActs = `
-- The authorisations of administrative requests.
CREATE TABLE acts (
	leaf INTEGER PRIMARY KEY
) STRICT;
`

// schemaRecipients is what version 3 added.
const schemaRecipients = `
-- Whom each authorisation lets have what; an empty recipient is anybody.
CREATE TABLE flows (
	leaf      INTEGER NOT NULL,
	recipient TEXT NOT NULL,
	asset     TEXT NOT NULL,
	amount    TEXT,
	PRIMARY KEY (leaf, recipient, asset)
) STRICT, WITHOUT ROWID;

-- Whom each key was ever authorised to let have anything, and the first leaf that did.
CREATE TABLE recipients (
	key       TEXT NOT NULL,
	recipient TEXT NOT NULL,
	leaf      INTEGER NOT NULL,
	PRIMARY KEY (key, recipient)
) STRICT, WITHOUT ROWID;

-- One row per leaf that put a policy in force. No bundle: none was kept.
CREATE TABLE policies (
	leaf    INTEGER PRIMARY KEY,
	version BLOB NOT NULL,
	bundle  BLOB
) STRICT;
CREATE INDEX policies_by_version ON policies (version);

-- The bundles of policies, each once, by SHA-256.
CREATE TABLE bundles (
	sha256 BLOB PRIMARY KEY,
	body   BLOB NOT NULL
) STRICT;
`

// schemaWaiting is what version 4 added.
const schemaWaiting = `
-- The requests that wait, by the leaf of the record that they do.
CREATE TABLE waiting (
	leaf     INTEGER PRIMARY KEY,
	proposal BLOB NOT NULL UNIQUE,
	caller   TEXT NOT NULL,
	id       TEXT NOT NULL,
	account  TEXT NOT NULL,
	policy   BLOB NOT NULL,
	time     INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	deadline INTEGER NOT NULL,
	heard    INTEGER NOT NULL
) STRICT;

-- What approvers said, each once, and the leaf by which the request waited that it is
-- about; none: a freeze.
CREATE TABLE approvals (
	id      BLOB PRIMARY KEY,
	leaf    INTEGER NOT NULL,
	waiting INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_by_request ON approvals (waiting, leaf);

-- The policies that requests would put in force, by the leaf of the record that the
-- request waits or is authorised.
CREATE TABLE candidates (
	leaf    INTEGER PRIMARY KEY,
	version BLOB NOT NULL,
	bundle  BLOB NOT NULL
) STRICT;
CREATE INDEX candidates_by_version ON candidates (version);

-- The leaves that say what people are asked and what came of it.
CREATE TABLE proceedings (
	leaf INTEGER PRIMARY KEY
) STRICT;

-- The last leaf of each of the types started, frozen and overridden.
CREATE TABLE latest (
	type TEXT PRIMARY KEY,
	leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

// The statements of the journal in service.
const (
	sqlAddLeaf       = `INSERT INTO leaves (leaf, time, type, salt, body) VALUES (?, ?, ?, ?, ?)`
	sqlGetLeaf       = `SELECT time, type, salt, body FROM leaves WHERE leaf = ?`
	sqlAuthorization = `SELECT type, outcomes.leaf, EXISTS (SELECT 1 FROM acts WHERE acts.leaf = leaves.leaf) FROM leaves LEFT JOIN outcomes ON authorization = leaves.leaf WHERE leaves.leaf = ?`
	sqlLeafTime      = `SELECT time FROM leaves WHERE leaf = ?`
	sqlLeavesFrom    = `SELECT leaf, time, type, salt, body FROM leaves WHERE leaf >= ? ORDER BY leaf LIMIT ?`
	sqlLastLeaf      = `SELECT max(leaf) FROM leaves`
	sqlAddCommit     = `INSERT INTO commits (first, hashes, boot, since_boot) VALUES (?, ?, ?, ?)`
	sqlCommitAt      = `SELECT first, hashes FROM commits WHERE first <= ? ORDER BY first DESC LIMIT 1`
	sqlLastCommit    = `SELECT first, length(hashes), boot, since_boot FROM commits ORDER BY first DESC LIMIT 1`
	sqlAddRequest    = `INSERT INTO requests (caller, id, leaf) VALUES (?, ?, ?)`
	sqlGetRequest    = `SELECT leaf FROM requests WHERE caller = ? AND id = ?`
	sqlSetRequest    = `UPDATE requests SET leaf = ? WHERE caller = ? AND id = ?`
	sqlSetOutcome    = `INSERT OR REPLACE INTO outcomes (authorization, leaf, signed) VALUES (?, ?, ?)`
	sqlGetOutcome    = `SELECT leaf, signed FROM outcomes WHERE authorization = ?`
	sqlAddAct        = `INSERT INTO acts (leaf) VALUES (?)`
	sqlActsFrom      = `SELECT leaf FROM acts WHERE leaf >= ? ORDER BY leaf LIMIT ?`
	sqlAddSpend      = `INSERT INTO spends (leaf, asset, key, caller, time, amount) VALUES (?, ?, ?, ?, ?, ?)`
	sqlSpendsFrom    = `SELECT leaf, asset, key, caller, time, amount FROM spends WHERE leaf >= ? AND leaf < ? ORDER BY leaf, asset`
	sqlKeySpendsFrom = `SELECT leaf, asset, key, '', time, amount FROM spends WHERE leaf >= ? AND leaf < ? ORDER BY leaf, asset`
	sqlAddFlow       = `INSERT INTO flows (leaf, recipient, asset, amount) VALUES (?, ?, ?, ?)`
	sqlFlowsFrom     = `SELECT leaf, recipient, asset, amount FROM flows WHERE leaf >= ? AND leaf < ? ORDER BY leaf, recipient, asset`
	sqlAddRecipient  = `INSERT INTO recipients (key, recipient, leaf) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	sqlGetRecipient  = `SELECT leaf FROM recipients WHERE key = ? AND recipient = ?`
	sqlAddPolicy     = `INSERT INTO policies (leaf, version, bundle) VALUES (?, ?, ?)`
	sqlGetPolicy     = `SELECT version, bundle FROM policies WHERE leaf = ?`
	sqlPolicies      = `SELECT leaf, time, type, version, bundle, EXISTS (SELECT 1 FROM bundles WHERE sha256 = bundle) FROM policies JOIN leaves USING (leaf) WHERE leaf < ? ORDER BY leaf DESC LIMIT ?`
	sqlAddBundle     = `INSERT INTO bundles (sha256, body) VALUES (?, ?) ON CONFLICT DO NOTHING`
	sqlGetBundle     = `SELECT body FROM bundles WHERE sha256 = ?`
	sqlLatestBundle  = `SELECT sha256, body FROM policies JOIN bundles ON sha256 = bundle WHERE version = ? ORDER BY leaf DESC LIMIT 1`
	sqlAddCandidate  = `INSERT INTO candidates (leaf, version, bundle) VALUES (?, ?, ?)`
	sqlGetCandidate  = `SELECT version, bundle FROM candidates WHERE leaf = ?`
	sqlCandidate     = `SELECT sha256, body FROM candidates JOIN bundles ON sha256 = bundle WHERE version = ? ORDER BY leaf DESC LIMIT 1`
	sqlAddWaiting    = `INSERT INTO waiting (leaf, proposal, caller, id, account, policy, time, due, deadline, heard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`
	sqlSetHeard      = `UPDATE waiting SET heard = ? WHERE leaf = ?`
	sqlEndWaiting    = `DELETE FROM waiting WHERE leaf = ?`
	sqlAllWaiting    = `SELECT leaf, proposal, caller, id, account, policy, time, due, deadline, heard FROM waiting ORDER BY leaf`
	sqlAddApproval   = `INSERT INTO approvals (id, leaf, waiting) VALUES (?, ?, ?)`
	sqlGetApproval   = `SELECT leaf, waiting FROM approvals WHERE id = ?`
	sqlHeardOf       = `SELECT leaf, time, type, salt, body FROM approvals JOIN leaves USING (leaf) WHERE waiting = ? ORDER BY leaf`
	sqlAddProceeding = `INSERT INTO proceedings (leaf) VALUES (?)`
	sqlProceedings   = `SELECT proceedings.leaf, time, type, salt, body FROM proceedings CROSS JOIN leaves USING (leaf) WHERE proceedings.leaf > ? ORDER BY proceedings.leaf LIMIT ?`
	sqlLastProceeded = `SELECT ifnull(max(leaf), 0) FROM proceedings`
	sqlSetLatest     = `INSERT OR REPLACE INTO latest (type, leaf) VALUES (?, ?)`
	sqlGetLatest     = `SELECT leaf FROM latest WHERE type = ?`
	sqlAddCheckpoint = `INSERT INTO checkpoints (size, time, note) VALUES (?, ?, ?)`
	sqlCheckpoint    = `SELECT time, note FROM checkpoints ORDER BY size DESC LIMIT 1`
	sqlGetMeta       = `SELECT value FROM meta WHERE name = ?`
	sqlAddMeta       = `INSERT INTO meta (name, value) VALUES (?, ?)`
)

// The names in table meta.
const (
	metaInstance = "instance" // 32 hexadecimal digits, chosen at creation
	metaKey      = "key"      // the vkey of the checkpoints; absent until the first
)

// checkVersion refuses a database that is not a journal of a version that this
// program knows, and returns the version: 0 for an empty database, so that a journal
// can be made in it.
func checkVersion(d *db) (version int64, err error) {
	var app, objects int64
	for query, v := range map[string]*int64{
		"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &objects,
	} {
		if *v, err = d.integer(query); err != nil {
			return 0, err
		}
	}
	switch {
	case app == 0 && version == 0 && objects == 0:
		return 0, nil
	case app != applicationID:
		return 0, errors.New("this is an SQLite database, but not a Sealward journal")
	case version > schemaVersion:
		return 0, fmt.Errorf("the journal has schema version %d; this program knows versions up to %d: use the newer program that wrote it", version, schemaVersion)
	case version < 1:
		return 0, fmt.Errorf("the journal has schema version %d, which no release ever wrote", version)
	}
	return version, nil
}
