package node

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthy asks a part whether it works.
func (p *part) healthy() error {
	if !strings.HasPrefix(p.health, "http://") {
		connection, err := net.DialTimeout("unix", p.health, time.Second)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	request, err := http.NewRequest(http.MethodGet, p.health, nil)
	if err != nil {
		return err
	}
	// Without this the agent counts what other parts of the cluster do.
	request.Header.Set("brief", "true")
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", p.health, response.Status)
	}
	return nil
}

// awaitHealth gives a part some time to work again; none means not to ask.
func (p *part) awaitHealth(limit time.Duration) error {
	if limit <= 0 {
		return nil
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		problem := p.healthy()
		if problem == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s started, but did not work in time: %w", p.name, problem)
		}
	}
}
