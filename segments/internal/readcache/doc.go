// Package readcache reads the log once for all segments that are near each other.
//
//	Cache ──────── keeps the last pages, and shares reads in flight
//	  ├─ page ────── a part of the log, read for a readSet: what its readers need together
//	  └─ Reader ──── one a segment: fills a Chunk with the events of its subscription (filter) and range (Divider), from pages or
//	                 with a read of its own, of which fetchLimit says how large it is
package readcache
