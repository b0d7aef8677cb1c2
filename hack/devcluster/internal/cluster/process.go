package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bulkhead.dev/devcluster/internal/fabric"
)

// Process is one program of the cluster, running or not.
type Process struct {
	// Name is unique in the cluster; Program is the sub-command that it runs,
	// or, as a path, another executable.
	Name    string   `json:"name"`
	Program string   `json:"program"`
	Args    []string `json:"args"`
	// PID and StartTime (in clock ticks since boot) tell the process from a
	// later one that was given the same id.
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
}

// surroundings are what a process does not simply inherit from the caller.
type surroundings struct {
	// network is a process whose network namespace it lives in, 0 for the caller's.
	network int
	// namespaces are flags of clone(2).
	namespaces uintptr
	// files are handed over, from number 3 on.
	files []*os.File
}

// argv is the command line without the name of the executable.
func (p *Process) argv() []string {
	if filepath.IsAbs(p.Program) {
		return p.Args
	}
	return append([]string{p.Program}, p.Args...)
}

func (p *Process) executable() (string, error) {
	if filepath.IsAbs(p.Program) {
		return p.Program, nil
	}
	return os.Executable()
}

// start launches the program in a session of its own, so that it survives the
// caller, and records its identity.
func (p *Process) start(layout Layout, around surroundings) error {
	executable, err := p.executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(layout.log(p.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(executable, p.argv()...)
	command.Stdout, command.Stderr = log, log
	command.Dir = layout.Dir()
	command.ExtraFiles = around.files
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: around.namespaces}
	start := command.Start
	if around.network != 0 {
		start = func() error { return fabric.Inside(around.network, command.Start) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	stat, err := readStat(command.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once: %w", p.Name, err)
	}
	p.PID, p.StartTime = command.Process.Pid, stat.startTime
	return nil
}

// alive reports whether the recorded process still runs. Its id alone proves
// nothing: start time and command line must match as well.
func (p *Process) alive() bool {
	if p.PID == 0 {
		return false
	}
	stat, err := readStat(p.PID)
	if err != nil || stat.startTime != p.StartTime || stat.state == 'Z' || stat.state == 'X' {
		return false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil {
		return false
	}
	// For a moment while it becomes another program, a process has no command
	// line at all.
	if len(cmdline) == 0 {
		return true
	}
	arguments := strings.Split(string(bytes.TrimSuffix(cmdline, []byte{0})), "\x00")
	return slices.Equal(arguments[1:], p.argv())
}

// stop asks politely, then ends the process by force once the grace is over.
// Grace 0 means force at once.
func (p *Process) stop(grace time.Duration) error {
	if grace > 0 && p.alive() {
		if err := signal(p.PID, syscall.SIGTERM); err != nil {
			return err
		}
		p.awaitEnd(grace)
	}
	if p.alive() {
		if err := signal(p.PID, syscall.SIGKILL); err != nil {
			return err
		}
		if !p.awaitEnd(10 * time.Second) {
			return fmt.Errorf("%s (pid %d) does not end", p.Name, p.PID)
		}
	}
	p.PID, p.StartTime = 0, 0
	return nil
}

func (p *Process) awaitEnd(limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for p.alive() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling process %d: %w", pid, err)
	}
	return nil
}

type procStat struct {
	state     byte
	startTime uint64
}

// readStat parses proc(5) stat: state is field 3, start time field 22. The
// command in field 2 may hold spaces, so counting starts after its bracket.
func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("unexpected format of /proc/%d/stat", pid)
	}
	startTime, err := strconv.ParseUint(fields[19], 10, 64)
	return procStat{state: fields[0][0], startTime: startTime}, err
}

// keepFilesPrivate marks everything that the caller left open, a lock or a
// pipe for example, so that the detached programs do not hold it open.
func keepFilesPrivate() {
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return
	}
	for _, name := range descriptors {
		if number, err := strconv.Atoi(filepath.Base(name)); err == nil && number > 2 {
			syscall.CloseOnExec(number)
		}
	}
}

// logTail gives the last lines of a process log for an error message.
func logTail(layout Layout, process string, lines int) string {
	data, err := os.ReadFile(layout.log(process))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
