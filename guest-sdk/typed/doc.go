// Package typed is what the readers are made of that 'pupwasm gen events' writes: memory that is used again for each
// event, and values that JSON has as texts. Projections use the generated readers and seldom this package.
//
// Nothing here allocates once it has seen the largest event, up to 1 MiB of a list or map, so that reading costs no memory
// per event, under TinyGo too, whose collector is slow.
package typed
