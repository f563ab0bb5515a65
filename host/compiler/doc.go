// Package compiler compiles metered modules to machine code in a process of its own. Compiling takes time and
// memory that grow faster than the module, in ways that no check of the module foretells: some kilobytes can
// take minutes, or gigabytes. In another process both have a limit, and what exceeds it ends alone.
//
//	host process                                    child process
//	a metered module  ──▶  a file in a folder  ──▶  Main: compiles it
//	the engine's cache  ◀──  a file of machine code  ◀──  and leaves the code in the folder
//
// The child is the program of the host itself, or another that calls [Main] first. What it makes is an entry
// of the engine's cache, which the host then loads as it would one that it has made itself. The child is
// given nothing but the folder: no environment, no arguments, no open files. It ends when the host does, even
// one that was killed.
//
//	engine.go   how the engine is set up, on both sides
//	compiler.go the host's side: one attempt, with its limits
//	child.go    the child's side
//	watch.go    the child's watch over its limits
package compiler
