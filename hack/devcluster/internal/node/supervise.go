package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pauseBeforeRestart keeps a part that cannot work from spinning.
const pauseBeforeRestart = time.Second

// stopGrace is how long a part may take to end when asked.
const stopGrace = 20 * time.Second

// supervisor keeps the parts running, and buries every process of the node
// whose parent went before it.
type supervisor struct {
	environment []string
	logs        string

	mutex   sync.Mutex
	running map[int]*service
}

// service is one part with its present process.
type service struct {
	part
	pid    int
	starts int
	ended  chan struct{} // closed when the present process is gone
	held   bool          // stays down until somebody lets it start
}

// supervise starts the parts and never returns unless it cannot go on.
func supervise(config *Config, parts []part) error {
	s := &supervisor{environment: environment(config), logs: logsInside, running: map[int]*service{}}
	services := map[string]*service{}
	for _, p := range parts {
		service := &service{part: p}
		services[p.name] = service
		if p.after != "" {
			go s.startAfter(service, config.Name)
			continue
		}
		if err := s.start(service, config.Name); err != nil {
			return err
		}
	}
	go s.reap(config.Name)
	return serveControl(s, services, config.Name)
}

// start holds the lock until the process is known, so that the reaper cannot
// see its end first.
func (s *supervisor) start(service *service, node string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	log, err := os.OpenFile(filepath.Join(s.logs, node+"-"+service.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(service.path, service.args...)
	command.Env = s.environment
	command.Stdout, command.Stderr = log, log
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", service.name, err)
	}
	service.pid, service.ended = command.Process.Pid, make(chan struct{})
	service.starts++
	s.running[service.pid] = service
	return command.Process.Release()
}

// reap waits for whoever ends. The parts always run or are about to, so there
// is hardly ever nobody to wait for.
func (s *supervisor) reap(node string) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.ECHILD {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err != nil {
			continue
		}
		s.mutex.Lock()
		service, known := s.running[pid]
		delete(s.running, pid)
		if known {
			service.pid = 0
			close(service.ended)
		}
		s.mutex.Unlock()
		if known {
			fmt.Fprintf(os.Stderr, "%s %s ended: exit %d, signal %d\n", time.Now().Format(time.RFC3339), service.name, status.ExitStatus(), status.Signal())
			go s.revive(service, node)
		}
	}
}

// startAfter starts a service once its file is there, or after a while anyway:
// its own complaint then says more than ours.
func (s *supervisor) startAfter(service *service, node string) {
	for deadline := time.Now().Add(stopGrace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(service.after); err == nil {
			break
		}
	}
	if err := s.start(service, node); err != nil {
		fmt.Fprintln(os.Stderr, err)
		go s.revive(service, node)
	}
}

func (s *supervisor) revive(service *service, node string) {
	time.Sleep(pauseBeforeRestart)
	s.mutex.Lock()
	wanted := !service.held && service.pid == 0
	s.mutex.Unlock()
	if !wanted {
		return
	}
	if err := s.start(service, node); err != nil {
		fmt.Fprintln(os.Stderr, err)
		go s.revive(service, node)
	}
}

// restart ends a part, leaves it down for the pause, and starts it again.
func (s *supervisor) restart(service *service, node string, force bool, pause time.Duration) error {
	s.mutex.Lock()
	if service.held {
		s.mutex.Unlock()
		return fmt.Errorf("%s is being restarted by somebody else", service.name)
	}
	service.held = true
	pid, ended := service.pid, service.ended
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		service.held = false
		s.mutex.Unlock()
	}()
	if pid != 0 {
		end(pid, ended, force)
	}
	time.Sleep(pause)
	return s.start(service, node)
}

func end(pid int, ended <-chan struct{}, force bool) {
	if !force {
		_ = unix.Kill(pid, unix.SIGTERM)
		select {
		case <-ended:
			return
		case <-time.After(stopGrace):
		}
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	<-ended
}
