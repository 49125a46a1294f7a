// Package ipc is the way in: it listens on Unix sockets, establishes who is at
// the other end from what the kernel says, and hands HTTP requests on together
// with that caller.
//
// # Order of work
//
//	listen -> accept -> count (socket and uid) -> identify -> serve HTTP/1.1 or h2c
//	       -> drain -> close
//
// Only this package makes a [signer.Caller] that is not zero. A connection whose
// other end cannot be identified is answered with one line and closed; no handler
// sees it.
//
// # How a caller is identified
//
// SO_PEERCRED gives the uid, gid and pid that connected. Where the kernel has
// SO_PEERPIDFD (6.5), a pidfd proves that the process which connected still runs,
// so a pid that was used again is not mistaken for it, and a socket that was left
// to a child identifies nobody. Where it has PIDFD_GET_INFO (6.13), the uid of now
// is compared with the uid of then, and the id of the control group, found under
// /sys/fs/cgroup, names the systemd unit. Nothing of it reads /proc, which
// ProtectProc=invisible hides. The program's path is not part of an identity: a
// process may connect and then execute another one.
//
// # What we defend against
//
//   - A caller that claims to be another. Nothing it sends is asked.
//   - One that leaves its connection to someone else and exits.
//   - One that opens many connections, sends slowly or not at all, or never reads:
//     counts per socket and uid, deadlines for each step. One account cannot use up
//     what belongs to another until all places of a socket are taken, and one socket
//     cannot use up what belongs to another socket.
//   - Running out of file descriptors: the daemon waits and goes on.
//   - A socket that others could reach before its owner and mode are set, a file
//     that is replaced though it is in use or is no socket.
//
// # What we do not defend against
//
// Root on this host. A process that shares the caller's uid: between accounts is
// the only border that a uid draws, so give each caller an account or a socket of
// its own. A caller that hands its open connection to another process and stays
// alive.
package ipc
