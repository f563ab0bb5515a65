package mysql

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
)

// TestConn_errorsOfSeveralStatements has one of several statements fail, before, within and behind the one that gives
// rows: the error is told, and the connection goes on.
func TestConn_errorsOfSeveralStatements(t *testing.T) {
	t.Parallel()
	s, err := Open(mariadbtest.Empty(t).URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, text := range []string{
		"SET @n = 1; SELECT 1 FROM nothing",
		"SET @n = 1; SELECT seq, EXP(seq * 300) FROM seq_1_to_5", // the third row fails
		"SET @n = 1; SELECT seq FROM seq_1_to_5; SELECT 1 FROM nothing",
		"SET @n = 1; SELECT seq FROM seq_1_to_5; SET @n = 2; DROP TABLE nothing; SET @n = 3",
		"SELECT seq FROM seq_1_to_5; SELECT IF(@n = 1, 1, (SELECT 1 UNION SELECT 2))",
	} {
		err := s.lend(t.Context(), func(c *conn) error {
			err := c.query(text, func(*row) error { return nil })
			var failure *mysql.MySQLError
			if !errors.As(err, &failure) {
				t.Errorf("%s: %v", text, err)
			}
			n := int64(0)
			if err := c.query("SELECT 1; SET @n = 5", func(r *row) error { n = r.int64(0); return nil }); err != nil || n != 1 {
				t.Errorf("after %s the connection gives %d, %v", text, n, err)
			}
			_, err = c.exec("SET @n = 2; SELECT 7; SET @n = 3")
			return err
		})
		if err != nil {
			t.Errorf("after %s: %v", text, err)
		}
	}
}
