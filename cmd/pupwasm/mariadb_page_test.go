package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pages"
)

// mariadbBlocks are the blocks of docs/mysql.md with a note.
func mariadbBlocks(t *testing.T, note string) (texts []string) {
	t.Helper()
	page, err := pages.Read(guestbuild.Root(t), "docs/mysql.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range page.Blocks {
		if block.Note == note {
			texts = append(texts, block.Text)
		}
	}
	return texts
}

// mariadbPage is a server as the page wants it, with a binary log, and its database shop.
type mariadbPage struct {
	t      *testing.T
	server *mariadbserver.Server
	db     mariadbtest.Database
}

func startMariaDBPage(t *testing.T) *mariadbPage {
	t.Helper()
	server, err := mariadbserver.Start("log-bin=bin", "server-id=1", "log-bin-trust-function-creators=ON")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	p := &mariadbPage{t: t, server: server, db: mariadbtest.Database{URL: server.URL("shop"), Name: "shop", Server: server}}
	p.exec("CREATE DATABASE shop")
	return p
}

func (p *mariadbPage) exec(text string) {
	p.t.Helper()
	db := p.db
	if strings.HasPrefix(text, "CREATE DATABASE") {
		db.Name = ""
	}
	if _, err := db.Connect(p.t).ExecContext(p.t.Context(), text); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
}

// as runs a command as an account.
func (p *mariadbPage) as(account string, args ...string) string {
	p.t.Helper()
	return runCommand(p.t, p.server.URLAs(account, "", "shop"), args...)
}

// TestMariaDBPage_accountsHaveTheRightsThatTheyNeed does as the page says: once with hosts that are granted each
// projection, and once with hosts that may make databases and roles.
func TestMariaDBPage_accountsHaveTheRightsThatTheyNeed(t *testing.T) {
	t.Parallel()
	accounts := mariadbBlocks(t, "accounts of MariaDB")
	if len(accounts) != 3 {
		t.Fatalf("the page has %d blocks of accounts, not 3", len(accounts))
	}
	p := startMariaDBPage(t)
	p.exec(accounts[0])
	p.as("pupwasm_migrator", "migrate", "up")
	p.exec(accounts[1])
	events := filepath.Join(t.TempDir(), "events.jsonl")
	write(t, events, []byte(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"Registered","payload":{}}`+"\n"))
	p.as("pupwasm_writer", "append", "--migrate=false", events)
	modules := testModules(t, "two_statements")
	p.exec(p.as("pupwasm_host", "grant", "two_statements"))
	check := func() {
		t.Helper()
		p.as("pupwasm_host", "run", "--once", "--migrate=false", modules)
		if said := p.as("pupwasm_reader", "status", "--events", p.server.URLAs("pupwasm_reader", "", "shop")); !strings.Contains(said, "two_statements") {
			t.Errorf("status says %s", said)
		}
		p.as("pupwasm_reader", "events")
	}
	check()
	elsewhere := "sqlite:" + filepath.Join(t.TempDir(), "rows.db")
	runCommand(t, elsewhere, "run", "--once", modules, "--events", p.server.URLAs("pupwasm_reader", "", "shop"))
	p.as("pupwasm_host", "reset", "two_statements", "--yes")
	p.exec("REVOKE ALL PRIVILEGES, GRANT OPTION FROM pupwasm_host")
	for _, role := range p.roles() {
		p.exec("DROP ROLE " + role)
	}
	p.exec("GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.* TO pupwasm_host")
	p.exec(accounts[2])
	check()
	if roles := p.roles(); len(roles) != 1 {
		t.Errorf("the host has made the roles %v", roles)
	}
	p.as("pupwasm_host", "reset", "two_statements", "--yes")
	if roles := p.roles(); len(roles) != 0 {
		t.Errorf("the roles %v are left", roles)
	}
}

// roles are those of projections.
func (p *mariadbPage) roles() (names []string) {
	p.t.Helper()
	var name string
	mariaDatabase(p.db).each(p.t, "SELECT user FROM mysql.global_priv WHERE user LIKE 'pup|_%' ESCAPE '|' AND host = ''",
		func() { names = append(names, name) }, &name)
	return names
}

// TestMariaDBPage_aDumpIsComplete takes the page's dump back on another server, where hosts go on.
func TestMariaDBPage_aDumpIsComplete(t *testing.T) {
	t.Parallel()
	dumps := mariadbBlocks(t, "dump of MariaDB")
	if len(dumps) != 1 {
		t.Fatalf("the page has %d dumps, not 1", len(dumps))
	}
	folder := t.TempDir()
	from, to := startMariaDBPage(t), startMariaDBPage(t)
	modules := testModules(t, "two_statements")
	from.as("root", "append", madeLog(t, 100))
	from.as("root", "run", "--once", modules)
	shell := func(p *mariadbPage, script string) {
		t.Helper()
		// The clients read this file in place of the user's.
		write(t, filepath.Join(folder, ".my.cnf"), []byte("[client]\nuser=root\nsocket="+filepath.Join(p.server.Folder, "socket")+"\n"))
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "HOME="+folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	shell(from, dumps[0])
	to.exec(to.as("root", "grant", "two_statements", "--to", "root@localhost"))
	shell(to, "mariadb < shop.sql")
	to.as("root", "append", madeLog(t, 300)) // others than before
	to.as("root", "run", "--once", modules)
	var events, counted int
	mariaDatabase(to.db).one(t, "SELECT (SELECT count(*) FROM {own}events), (SELECT sum(events) FROM {two_statements}counts)", &events, &counted)
	if events <= 300 || counted != events { // a line that both logs have is appended once
		t.Errorf("%d of %d events are counted", counted, events)
	}
}
