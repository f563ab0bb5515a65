package postgres

import "github.com/pupwasm/pupwasm/store"

// backend is a store with what hosts do in it besides: claims, installations, parked keys, notifications.
type backend struct{ *Store }

var (
	_ store.Store    = backend{}
	_ store.Notifier = backend{}
	_ store.Peeker   = backend{}
	_ store.Outbox   = backend{}
)

// Backend returns the store as hosts and commands of pupwasm use it. What it can do besides the methods of Store
// changes without notice.
func (s *Store) Backend() store.Store { return backend{s} }

// WritesAtOnce reports true. See [store.Tables].
func (backend) WritesAtOnce() bool { return true }
