// Package eventgen generates typed access to events from the structs that describe them.
//
// A folder of events has a Go package for each version of the events' schemas, v1, v2 and so on. A struct there is an
// event of that version. From it come the readers of projections (pupevents), the registry of applications, and a JSON
// Schema for each event and version. What the structs mean in JSON is what encoding/json makes of them.
//
//	load ─► events ─► upcasters ─► guest, application, decimals, schema ─► write
package eventgen
