package segments_test

import (
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestWorker_goesOnFromACheckpointThatWentBack takes the last commits of a worker that waits for events back, rows and
// checkpoints, as a crash may. No event comes that would make it commit.
func TestWorker_goesOnFromACheckpointThatWentBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	before := appendTo(t, s, finesOf(20)...)
	applied(t, s, "fine_balance", before)
	testwait.Until(t, "all segments are there", func() bool {
		return count(t, db, fmt.Sprintf("pupwasm.segments WHERE position = %d", before)) == 4
	})
	applied(t, s, "fine_balance", appendTo(t, s, payments("later", 1, 2, 3)))
	execute(t, db, fmt.Sprintf(`WITH gone AS (DELETE FROM fine_balance.fines WHERE fine_id = 'later')
		UPDATE pupwasm.segments SET position = %d, last_position = %[1]d,
		last_event = (SELECT event_id FROM pupwasm.events WHERE global_position = %[1]d)`, before))
	testwait.Until(t, "the rows are there again", func() bool { return paid(t, db) == 26 })
	worker.runs(t)
}
