// Command embed is a web shop that runs projections inside of itself: a handler appends an event, waits until the
// projection has applied it, and answers with the row.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
)

var modules = flag.String("modules", "modules", "`folder` of modules")

func main() { shop.Main(run) }

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	own, err := shop.OpenSQL(url)
	if err != nil {
		return err
	}
	defer own.Close()

	host, err := pupwasm.NewHost(db, pupwasm.Options{Folder: *modules, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- host.Run(ctx) }()

	app := &app{db: db, own: own, host: host, query: "SELECT events FROM " + shop.Table(url, "user_counter", "users") +
		" WHERE user_id = " + shop.Parameter(url)}
	server := httptest.NewServer(app) // in place of the server that you have
	defer server.Close()
	for _, user := range []string{"ann", "bob", "ann"} {
		if err := login(ctx, server.URL+"/login?user="+user); err != nil {
			return err
		}
	}
	stop()
	return <-stopped // batches under way are finished
}

// app is the application.
type app struct {
	db    shop.Database
	own   *sql.DB
	host  *pupwasm.Host
	query string // of the projection's table
}

// ServeHTTP notes a login and answers with how many events the user has caused, this one included.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count, err := a.login(r.Context(), r.FormValue("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s has %d events\n", r.FormValue("user"), count)
}

func (a *app) login(ctx context.Context, user string) (count int64, err error) {
	appended, err := a.db.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: user},
		Events: []store.Event{{Type: "UserLoggedIn"}},
	})
	if err != nil {
		return 0, err
	}
	if err := a.host.Wait(ctx, "user_counter", appended[0].Position); err != nil {
		return 0, err
	}
	err = a.own.QueryRowContext(ctx, a.query, user).Scan(&count)
	return count, err
}

// login is what a browser does.
func login(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	fmt.Print(string(answer))
	return err
}
