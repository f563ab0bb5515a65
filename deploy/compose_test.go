package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeProject reads compose.yaml as Compose does, by its schema.
func composeProject(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnv(env), cli.WithResolvedPaths(true),
		cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func mustCompose(t *testing.T) *types.Project {
	t.Helper()
	project, err := composeProject(t, "PUPWASM_PASSWORD=secret", "GRAFANA_PASSWORD=secret")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose_everyFileIsThere(t *testing.T) {
	t.Parallel()
	for _, service := range mustCompose(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s has %s: %v", service.Name, volume.Source, err)
			}
		}
		if build := service.Build; build != nil {
			if _, err := os.Stat(filepath.Join(build.Context, build.Dockerfile)); err != nil {
				t.Errorf("%s is built by %s: %v", service.Name, build.Dockerfile, err)
			}
		}
	}
}

func TestCompose_hasNoPasswordsOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"PUPWASM_PASSWORD", "GRAFANA_PASSWORD"} {
		others := slices.DeleteFunc([]string{"PUPWASM_PASSWORD=secret", "GRAFANA_PASSWORD=secret"},
			func(variable string) bool { return strings.HasPrefix(variable, missing) })
		if _, err := composeProject(t, others...); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// TestCompose_nothingIsOpenToOtherMachines looks at ports, and at what hosts may do.
func TestCompose_nothingIsOpenToOtherMachines(t *testing.T) {
	t.Parallel()
	project := mustCompose(t)
	for _, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is open on %q", service.Name, port.HostIP)
			}
		}
		if _, tag, _ := strings.Cut(service.Image, ":"); tag == "" || tag == "latest" {
			t.Errorf("%s has the image %s: name a version", service.Name, service.Image)
		}
		if service.Image == "pupwasm:local" && (!service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"})) {
			t.Errorf("%s has more rights than it needs", service.Name)
		}
	}
	if host := project.Services["host"]; *host.Environment["PUPWASM_LISTEN"] != "0.0.0.0:9464" ||
		graceOf(host) < 45 {
		t.Errorf("the host is %+v", host)
	}
}

// graceOf is how many seconds a service has to end.
func graceOf(service types.ServiceConfig) float64 {
	if service.StopGracePeriod == nil {
		return 10
	}
	return time.Duration(*service.StopGracePeriod).Seconds()
}

// TestCompose_setsUpInOrder has the tables made before hosts start.
func TestCompose_setsUpInOrder(t *testing.T) {
	t.Parallel()
	project := mustCompose(t)
	for service, after := range map[string]string{"host": "roles", "roles": "migrate", "migrate": "postgres"} {
		want := types.ServiceConditionCompletedSuccessfully
		if after == "postgres" {
			want = types.ServiceConditionHealthy
		}
		if got := project.Services[service].DependsOn[after].Condition; got != want {
			t.Errorf("%s waits for %s: %q, want %q", service, after, got, want)
		}
	}
	for service, role := range map[string]string{"host": "pupwasm_host", "migrate": "pupwasm_migrator"} {
		if url := *project.Services[service].Environment["PUPWASM_DATABASE_URL"]; url != "postgres://"+role+":secret@postgres/shop" {
			t.Errorf("%s has the database %s", service, url)
		}
	}
}
