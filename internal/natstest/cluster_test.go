//go:build unix

package natstest_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestCluster_keepsMessagesWhileANodeIsKilled stores in a cluster, kills the leader of the stream, and reads from what is
// left, and from all of it when the node is back.
func TestCluster_keepsMessagesWhileANodeIsKilled(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	conn, err := nats.Connect(cluster.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.>"}, Replicas: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	leader := int(stream.CachedInfo().Cluster.Leader[1] - '1')
	cluster.Kill(leader)
	testwait.Until(t, "the others have the message", func() bool {
		message, err := stream.GetMsg(t.Context(), 1)
		return err == nil && string(message.Data) == "kept"
	})
	if err := cluster.Restart(leader); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitReady(); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || len(info.Cluster.Replicas) != 2 || !info.Cluster.Replicas[0].Current || !info.Cluster.Replicas[1].Current {
		t.Errorf("with all nodes the stream has %+v (%v)", info, err)
	}
}

func TestStart_hasSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, 1, "max_payload: 2000")
	conn, err := nats.Connect(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.MaxPayload() != 2000 {
		t.Errorf("with a setting of its own the server takes %d bytes", conn.MaxPayload())
	}
}
