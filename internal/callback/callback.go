// Package callback is about functions that somebody may have given, to be told of something.
package callback

// Join makes a function tell another one too, behind it. Either may be nil.
func Join[T any](function *func(T), other func(T)) {
	first := *function
	switch {
	case other == nil:
	case first == nil:
		*function = other
	default:
		*function = func(what T) {
			first(what)
			other(what)
		}
	}
}
