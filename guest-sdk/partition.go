package pup

// Partition says by what the events of a projection are divided among workers: its partition key. Events of one
// key reach the projection in order of their position, whatever streams they are in, and no two workers have
// events of the same key. The zero value is ByStream.
type Partition struct {
	by   string
	path []string
}

// ByStream divides events by their stream: the key is the aggregate's id, whatever its type and context. This
// is the default.
func ByStream() Partition { return Partition{} }

// ByJSON divides events by a member of the payload, named by a path from the outside in:
//
//	Partition: pup.ByJSON("customer", "id")
//
// The member is a string, a boolean or an integer of 64 bits, whose digits are the key. Anything else there,
// 1.0 or null for example, is an error of the event. An event whose payload has no such member has the key of
// its stream, so that the customer's own stream and the orders that name the customer meet.
//
// It panics without a path.
func ByJSON(path ...string) Partition { return byMember("json", path) }

// ByMetadata divides events by a member of their metadata, by the rules of ByJSON.
//
// It panics without a path.
func ByMetadata(path ...string) Partition { return byMember("metadata", path) }

// ByCorrelation divides events by their correlation id, which is what a process manager follows. An event
// without one has the key of its stream.
func ByCorrelation() Partition { return Partition{by: "correlation"} }

func byMember(by string, path []string) Partition {
	if len(path) == 0 {
		misuse("a partition by " + by + " needs the name of a member")
	}
	return Partition{by: by, path: path}
}
