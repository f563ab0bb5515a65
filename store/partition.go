package store

// Partition says by what the events of a projection are divided. Events of one key reach the projection in order of position,
// whatever streams they are in; a segment is a share of the keys. The zero value divides by stream.
type Partition struct {
	By   PartitionBy `json:"by"`
	Path []string    `json:"path,omitempty"` // of PartitionJSON and PartitionMetadata: names of members, from the outside in
}

// PartitionBy is where the key of an event comes from.
type PartitionBy string

// The sources of a key. An event without the key there has the key of its stream.
const (
	PartitionStream      PartitionBy = "stream"      // the stream's id: aggregate_id, whatever its type and context
	PartitionJSON        PartitionBy = "json"        // a member of the payload
	PartitionMetadata    PartitionBy = "metadata"    // a member of the metadata
	PartitionCorrelation PartitionBy = "correlation" // correlation_id
)

// ByStream tells whether the key is the stream's id.
func (p Partition) ByStream() bool { return p.By == "" || p.By == PartitionStream }
