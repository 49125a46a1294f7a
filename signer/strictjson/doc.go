// Package strictjson reads JSON from people and programs that may be careless or
// hostile. It fills a Go value as encoding/json does, and refuses what
// encoding/json lets pass:
//
//   - a field that the type does not describe, also one that differs from a
//     described field in letter case only;
//   - a field that is there twice, or twice in different letter case: there the
//     last one would silently win, so that two readers of one text may disagree;
//   - anything after the value;
//   - invalid UTF-8 and lone surrogates, which would silently become U+FFFD;
//   - null for what is neither a pointer nor an interface, an array of another
//     length than the Go array, a number that does not fit;
//   - more than [MaxSize] bytes or [MaxDepth] levels.
//
// A field that is absent is not refused. Make it a pointer to tell absent (or
// null) from zero.
//
// The type may be made of structs, pointers, slices, arrays, maps with string
// keys, strings, booleans, numbers and interfaces, and of types that unmarshal
// themselves: of what those read, only repeats, depth and encoding are checked.
// Embedded fields, the "string" option and []byte (whose base64 encoding/json
// reads loosely) are not supported and are reported as errors.
package strictjson
