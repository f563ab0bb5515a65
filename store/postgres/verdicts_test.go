package postgres_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/internal/verdict"
	"github.com/pupwasm/pupwasm/store/internal/verdict/verdicttest"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func TestVerdicts_areThoseOfThePage(t *testing.T) {
	t.Parallel()
	verdicttest.Page(t, "postgres", postgres.SQLStates.Markdown(func(code string) string {
		if code == "" {
			return ""
		}
		return "`" + code + "`"
	}))
}

// TestVerdicts_everyCodeOfTheServer reads the codes that the server has been built from.
func TestVerdicts_everyCodeOfTheServer(t *testing.T) {
	t.Parallel()
	decided := map[string]bool{}
	for _, line := range postgres.SQLStates.Lines() {
		decided[line.Code] = true
		for _, v := range []verdict.Verdict{line.Module, line.Own, line.Commit} {
			if v.String() == "" {
				t.Errorf("%s lacks a verdict", line.Code)
			}
		}
	}
	config := pgtest.Shared(t).Tool("pg_config")
	if config == "" {
		config = "pg_config"
	}
	share, err := exec.Command(config, "--sharedir").Output()
	must(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(share)), "errcodes.txt"))
	must(t, err)
	defer file.Close()
	codes := 0
	state := regexp.MustCompile(`^([0-9A-Z]{5}) +[ESW] `)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if found := state.FindStringSubmatch(lines.Text()); found != nil {
			codes++
			if !decided[found[1]] && !decided[found[1][:2]] {
				t.Errorf("%s has no line", found[1])
			}
		}
	}
	if codes < 200 {
		t.Errorf("the server has %d codes", codes)
	}
}

// TestVerdicts_areThoseOfTheServersAnswers has a trigger raise each code, in the rows of a projection, in our own, and
// in what is deferred up to COMMIT.
func TestVerdicts_areThoseOfTheServersAnswers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	conn := db.Connect(t)
	execute(t, conn, `CREATE TABLE raised (phase text, state text); INSERT INTO raised VALUES ('', ''); GRANT SELECT ON raised TO PUBLIC;
		CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF EXISTS (SELECT FROM public.raised WHERE phase = TG_ARGV[0]) THEN
				RAISE EXCEPTION 'it is refused' USING ERRCODE = (SELECT state FROM public.raised);
			END IF;
			RETURN NEW;
		END$$;
		CREATE TRIGGER raise BEFORE INSERT OR UPDATE ON sums__v1.total FOR EACH ROW EXECUTE FUNCTION raise('module');
		CREATE TRIGGER raise BEFORE UPDATE ON pupwasm.segments FOR EACH ROW EXECUTE FUNCTION raise('own');
		CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON sums__v1.total DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION raise('commit')`)
	for _, line := range postgres.SQLStates.Lines() {
		state := line.Code
		switch len(line.Code) {
		case 0:
			state = "ZZ999"
		case 2:
			state += "999" // a code of the class that has no line
		}
		switch line.Code {
		case "00", "26", "42P05": // none that is raised; and those after which statements are not prepared any more
			continue
		}
		for phase, want := range map[string]verdict.Verdict{"module": line.Module, "own": line.Own, "commit": line.Commit} {
			execute(t, conn, "UPDATE raised SET phase = '"+phase+"', state = '"+state+"'")
			if err := r.commit(t.Context(), add("a", 1)); !isAs(err, want) {
				t.Errorf("%s in %s: %v, must be %q", state, phase, err, want)
			}
		}
	}
	execute(t, conn, "UPDATE raised SET phase = ''")
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")
}

// isAs reports whether an error is one of a verdict.
func isAs(err error, of verdict.Verdict) bool {
	var rejected *store.RejectedError
	var broken *store.StatementError
	transient := errors.Is(err, store.ErrTransient)
	switch {
	case errors.As(err, &rejected):
		return of == verdict.Row
	case errors.As(err, &broken):
		return of == verdict.Stop
	case store.IsConflict(err):
		return of == verdict.Again
	case transient: // without the time that it took, a limit is nobody's fault
		return of == verdict.Wait || of == verdict.Limit
	}
	return err != nil && of == verdict.Repair
}
