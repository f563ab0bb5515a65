// Package settings reads what operators write in YAML: settings of one module in NAME.yaml beside NAME.wasm, and flags
// of commands in pupwasm.yaml.
//
//	parse.go    text to a tree of members, each with its place; what YAML has beyond that is refused
//	member.go   the value of a member, by its type and range
//	fault.go    a mistake and where it is
//	module.go   the members of NAME.yaml
//	files.go    the files beside the modules of a folder
//	suggest.go  "did you mean"
//
// A file is taken as a whole or refused as a whole. Nothing of it is expanded: there are no anchors, aliases, merge keys
// or tags, and the text of a scalar is read by the type of its member, never guessed from its looks.
package settings
