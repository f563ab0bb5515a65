package jetstream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/relay/jetstream"
)

// keys makes a key pair, and returns its public part too.
func keys(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return pair, public
}

func encoded(t *testing.T, claims interface {
	Encode(pair nkeys.KeyPair) (string, error)
}, by nkeys.KeyPair,
) string {
	t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestSink_readsCredentialsFiles connects to a server that knows its users by the JWT of an operator.
func TestSink_readsCredentialsFiles(t *testing.T) {
	t.Parallel()
	operator, operatorKey := keys(t, nkeys.CreateOperator)
	account, accountKey := keys(t, nkeys.CreateAccount)
	_, systemKey := keys(t, nkeys.CreateAccount)
	user, userKey := keys(t, nkeys.CreateUser)
	accountClaims := jwt.NewAccountClaims(accountKey)
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	operatorClaims.SystemAccount = systemKey
	cluster := natstest.StartCluster(t, 1, fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }",
		encoded(t, operatorClaims, operator), systemKey, accountKey, encoded(t, accountClaims, operator), systemKey,
		encoded(t, jwt.NewAccountClaims(systemKey), operator)))
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(encoded(t, jwt.NewUserClaims(userKey), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	js := connect(t, cluster.URL(), nats.UserCredentials(file))
	createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	sink := openSink(t, cluster.URL(), jetstream.Options{CredentialsFile: file, Timeout: 10 * time.Second})
	if err := sink.Send(t.Context(), fresh(1, "shop.a", "k")); err != nil {
		t.Error(err)
	}
	if len(messagesOf(t, js, "SHOP")) != 1 {
		t.Error("the stream has no message")
	}
}
