package erc7730

import (
	"path"
	"slices"
	"strings"
)

// maxIncludes is how many files may include each other in a row.
const maxIncludes = 4

// maxMerged bounds, in bytes, the files that all includes of a folder read together, so
// that a few large files that many include do not take for ever.
const maxMerged = 32 << 20

// folder is the files of a folder, by their paths in it.
type folder struct {
	data   map[string][]byte
	parsed map[string]*node
	merged int
}

// document is a file with its includes merged into it.
func (f *folder) document(file string) (*node, error) { return f.include(file, nil) }

// attests reports whether a file is no descriptor, but a signed word about one: an object
// of the signed message and its signer, as the public registry has them.
func (f *folder) attests(file string) bool {
	n, err := f.parse(file)
	return err == nil && n.sort == object && slices.Equal(slices.Sorted(slices.Values(n.names)), []string{"sig", "signer"})
}

// include reads a file that a chain of others includes.
func (f *folder) include(file string, chain []string) (*node, error) {
	n, err := f.parse(file)
	if err != nil {
		return nil, err
	}
	doc := at{v: n}
	if err := doc.object("$schema", "$comment", "includes", "context", "metadata", "display"); err != nil {
		return nil, err
	}
	if err := checkSchema(doc.member("$schema")); err != nil {
		return nil, err
	}
	included := doc.member("includes")
	target, err := included.text()
	if err != nil || target == "" {
		return n, err
	}
	from, err := f.target(file, included)
	if err != nil {
		return nil, err
	}
	chain = append(chain, file)
	switch {
	case slices.Contains(chain, from):
		return nil, included.errorf("%s includes itself", quote(from))
	case len(chain) > maxIncludes:
		return nil, included.errorf("more than %d files include each other in a row", maxIncludes)
	}
	if f.merged += len(f.data[from]); f.merged > maxMerged {
		return nil, included.errorf("the includes of this folder read more than %d bytes in all", maxMerged)
	}
	under, err := f.include(from, chain)
	if err != nil {
		return nil, err
	}
	return merge(n, under, ""), nil
}

func (f *folder) parse(file string) (*node, error) {
	if n, ok := f.parsed[file]; ok {
		return n, nil
	}
	n, err := parse(file, f.data[file])
	if err != nil {
		return nil, &fault{file: file, reason: err.Error()}
	}
	f.parsed[file] = n
	return n, nil
}

// target is the file of the folder that an include names.
func (f *folder) target(file string, included at) (string, error) {
	ref := included.v.text
	if strings.Contains(ref, ":") || strings.HasPrefix(ref, "/") || strings.ContainsAny(ref, "?#\\%") {
		return "", included.errorf("%s is not a relative path; nothing is fetched, so put the file into this folder and include it from there", quote(ref))
	}
	to := path.Join(path.Dir(file), ref)
	if to == ".." || strings.HasPrefix(to, "../") {
		return "", included.errorf("%s is outside of this folder", quote(ref))
	}
	if _, ok := f.data[to]; !ok {
		return "", included.errorf("%s is not in this folder; put it there", quote(to))
	}
	return to, nil
}

// checkSchema: "A wallet MUST consider a descriptor invalid if the MAJOR version
// identified by its $schema key is not one the wallet implements" (ERC-7730,
// "Versioning"). Without a network, the name of the schema's file is what tells it.
func checkSchema(schema at) error {
	ref, err := schema.text()
	if err != nil {
		return err
	}
	if !schema.there() {
		return schema.errorf("is missing, so this is no descriptor; want a path or an address that ends in erc7730-v2.schema.json")
	}
	version, ok := strings.CutPrefix(path.Base(ref), "erc7730-v")
	version, suffix := strings.CutSuffix(version, ".schema.json")
	major, rest, _ := strings.Cut(version, ".")
	switch {
	case !ok || !suffix:
		return schema.errorf("%s is no schema of ERC-7730; want a path or an address that ends in erc7730-v2.schema.json", quote(ref))
	case strings.Contains(version, "-"):
		return schema.errorf("%s is a draft, which changes without notice; want erc7730-v2.schema.json", quote(path.Base(ref)))
	case major == "1":
		return schema.errorf("version 1 of the schema is not read; convert the descriptor to version 2, erc7730-v2.schema.json")
	case major != "2" || strings.Trim(rest, "0123456789.") != "":
		return schema.errorf("version %s of the schema is not read; want version 2, erc7730-v2.schema.json", quote(version))
	}
	return nil
}

// merge puts a document over the one that it includes (ERC-7730, "Organizing files"):
// objects are merged, and of anything else the including file's stands.
func merge(over, under *node, name string) *node {
	switch {
	case name == "fields" && over.sort == array && under.sort == array:
		return mergeFields(over, under)
	case over.sort != object || under.sort != object:
		return over
	}
	out := &node{sort: object, file: over.file, members: make(map[string]*node, len(over.names)+len(under.names))}
	for _, n := range under.names {
		out.set(n, under.members[n])
	}
	for _, n := range over.names {
		v := over.members[n]
		if u, both := under.members[n]; both {
			v = merge(v, u, n)
		}
		out.set(n, v)
	}
	return out
}

// mergeFields merges the elements that have one path and appends the others
// (ERC-7730, "Merging field format specifications"). Where a path is there more than
// once, the first is merged with the first.
func mergeFields(over, under *node) *node {
	out := &node{sort: array, file: over.file, elems: append([]*node(nil), under.elems...)}
	waiting := map[string][]int{}
	for i, e := range under.elems {
		if p, ok := pathOf(e); ok {
			waiting[p] = append(waiting[p], i)
		}
	}
	for _, e := range over.elems {
		p, _ := pathOf(e)
		if w := waiting[p]; len(w) > 0 {
			out.elems[w[0]] = merge(e, under.elems[w[0]], "")
			waiting[p] = w[1:]
			continue
		}
		out.elems = append(out.elems, e)
	}
	return out
}

// pathOf is the path of an element of fields, without the root that it has anyway.
func pathOf(n *node) (string, bool) {
	p := n.members["path"]
	if p == nil || p.sort != text {
		return "", false
	}
	return strings.TrimPrefix(p.text, "#."), true
}
