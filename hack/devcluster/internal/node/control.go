package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// controlSocket is where the init process takes orders, in the node's /run.
const controlSocket = "devcluster.sock"

// PartStatus is what the init process knows about a part.
type PartStatus struct {
	Name   string `json:"name"`
	PID    int    `json:"pid"` // inside the node; 0 while it is down
	Starts int    `json:"starts"`
}

func serveControl(s *supervisor, services map[string]*service, node string) error {
	socket := "/run/" + controlSocket
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /parts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.status(services))
	})
	mux.HandleFunc("GET /denied", serveDenied)
	mux.HandleFunc("POST /parts/{name}/restart", func(w http.ResponseWriter, r *http.Request) {
		service, known := services[r.PathValue("name")]
		if !known {
			http.Error(w, "no such part", http.StatusNotFound)
			return
		}
		var order RestartOrder
		if err := json.NewDecoder(io.LimitReader(r.Body, 1024)).Decode(&order); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.restart(service, node, order.Force, order.Pause); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		if err := service.awaitHealth(order.Wait); err != nil {
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
		}
	})
	return http.Serve(listener, mux)
}

func (s *supervisor) status(services map[string]*service) []PartStatus {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []PartStatus
	for _, name := range PartNames() {
		all = append(all, PartStatus{Name: name, PID: services[name].pid, Starts: services[name].starts})
	}
	return all
}

// RestartOrder says how to restart a part.
type RestartOrder struct {
	// Force kills instead of asking.
	Force bool `json:"force"`
	// Pause is how long the part stays away, Wait how long it may take to work
	// again, 0 for not to wait.
	Pause time.Duration `json:"pause"`
	Wait  time.Duration `json:"wait"`
}

// Restart asks a node's init process to restart one of its parts.
func Restart(socket, part string, order RestartOrder) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	client := controlClient(socket, order.Pause+order.Wait+stopGrace+10*time.Second)
	response, err := client.Post("http://node/parts/"+part+"/restart", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("restarting %s: %s", part, strings.TrimSpace(string(text)))
	}
	return nil
}

// Status asks a node's init process how its parts are.
func Status(socket string) ([]PartStatus, error) {
	response, err := controlClient(socket, 5*time.Second).Get("http://node/parts")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var all []PartStatus
	return all, json.NewDecoder(response.Body).Decode(&all)
}

func controlClient(socket string, limit time.Duration) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &http.Client{Timeout: limit, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}
