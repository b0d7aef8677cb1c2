package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// droppedByPolicy is how the agent's programs number this reason (DROP_POLICY in
// bpf/lib/common.h of Cilium).
const droppedByPolicy = 133

// countersMap is where they count, by reason and direction, for each CPU.
const countersMap = "/sys/fs/bpf/tc/globals/cilium_metrics"

type counter struct {
	Key    []string `json:"key"`
	Values []struct {
		Value []string `json:"value"`
	} `json:"values"`
}

// countDenied reads how many packets were dropped because of a policy since the
// node began.
func countDenied() (uint64, error) {
	output, err := exec.Command("bpftool", "-j", "map", "dump", "pinned", countersMap).Output()
	// The init process reaps everybody, so its exit code may be gone; what it printed tells.
	if err != nil && !errors.Is(err, syscall.ECHILD) {
		return 0, fmt.Errorf("bpftool: %w: %.200s", err, output)
	}
	var counters []counter
	if err := json.Unmarshal(output, &counters); err != nil {
		return 0, fmt.Errorf("bpftool prints %.200s: %w", output, err)
	}
	var sum uint64
	for _, c := range counters {
		key, err := octets(c.Key, 1)
		if err != nil {
			return 0, err
		}
		if key[0] != droppedByPolicy {
			continue
		}
		for _, each := range c.Values {
			// Packets come first, bytes follow.
			packets, err := octets(each.Value, 8)
			if err != nil {
				return 0, err
			}
			sum += binary.NativeEndian.Uint64(packets)
		}
	}
	return sum, nil
}

func octets(texts []string, least int) ([]byte, error) {
	if len(texts) < least {
		return nil, fmt.Errorf("a counter of %d bytes, not %d", len(texts), least)
	}
	all := make([]byte, len(texts))
	for i, text := range texts {
		value, err := strconv.ParseUint(text, 0, 8)
		if err != nil {
			return nil, err
		}
		all[i] = byte(value)
	}
	return all, nil
}

func serveDenied(w http.ResponseWriter, _ *http.Request) {
	count, err := countDenied()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(count)
}

// Denied asks a node how many packets its network plugin has dropped because of a
// policy.
func Denied(socket string) (uint64, error) {
	response, err := controlClient(socket, 30*time.Second).Get("http://node/denied")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return 0, fmt.Errorf("reading what was denied: %s", strings.TrimSpace(string(text)))
	}
	var count uint64
	return count, json.NewDecoder(response.Body).Decode(&count)
}
