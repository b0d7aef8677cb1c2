package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// errPortTaken means that somebody else got one of the drawn ports first.
var errPortTaken = errors.New("a port was taken by another process")

// waitFor polls a path of the API server until it answers OK, and ends early
// when one of the processes ends.
func waitFor(layout Layout, state *State, processes []*Process, path string, deadline time.Time) error {
	client, err := httpClient(layout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		problem := probe(ctx, client, state.APIServerURL+path)
		if problem == nil {
			return allAlive(layout, processes)
		}
		if err := allAlive(layout, processes); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster was not ready in time: %w; see the logs in %s", problem, layout.path("logs"))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func httpClient(layout Layout) (*http.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", layout.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 5 * time.Second
	return rest.HTTPClientFor(config)
}

func probe(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func allAlive(layout Layout, processes []*Process) error {
	for _, p := range processes {
		if p.alive() {
			continue
		}
		tail := logTail(layout, p.Name, 12)
		if strings.Contains(tail, "address already in use") {
			return fmt.Errorf("%s: %w", p.Name, errPortTaken)
		}
		return fmt.Errorf("%s ended; the end of %s:\n%s", p.Name, layout.log(p.Name), tail)
	}
	return nil
}
