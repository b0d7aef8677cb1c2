package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bulkhead.dev/devcluster/internal/cluster"
)

// clusterFlags are those of every command that works on a cluster.
type clusterFlags struct {
	dir  string
	wait int
}

func (f *clusterFlags) add(command *cobra.Command) {
	command.Args = cobra.NoArgs
	command.Flags().StringVar(&f.dir, "dir", "", "directory of the cluster (required)")
}

func (f *clusterFlags) addWait(command *cobra.Command) {
	command.Flags().IntVar(&f.wait, "wait", 60, "seconds until kube-apiserver must be ready (600 with nodes)")
}

func (f *clusterFlags) limit() time.Duration { return time.Duration(f.wait) * time.Second }

func upCommand() *cobra.Command {
	flags := clusterFlags{}
	options := cluster.Options{}
	command := &cobra.Command{
		Use:   "up --dir DIR",
		Short: "Start a detached cluster on free loopback ports, or what is missing of it",
	}
	flags.add(command)
	flags.addWait(command)
	command.Flags().BoolVar(&options.Audit, "audit", false, "write a metadata-level audit log to DIR/audit.log")
	command.Flags().IntVar(&options.Nodes, "nodes", 0, "real nodes with a container runtime and a network that enforces policies: 1 or 2; 0 for pods on paper")
	command.Flags().StringVar(&options.DataRoot, "data-root", "/dev/shm", "where the folder for the etcd data is made")
	command.RunE = func(*cobra.Command, []string) error {
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		if options.Nodes < 0 || options.Nodes > 2 {
			return fmt.Errorf("--nodes %d: choose 1 or 2, or leave it out", options.Nodes)
		}
		if options.Nodes > 0 && !command.Flags().Changed("wait") {
			flags.wait = 600
		}
		options.Wait = flags.limit()
		options.Bundle = os.Getenv("DEVCLUSTER_BUNDLE")
		started := time.Now()
		already, err := cluster.Up(layout, options)
		if err != nil {
			return err
		}
		if already {
			fmt.Printf("already up: %s\n", layout.Kubeconfig())
			return nil
		}
		fmt.Printf("ready after %.1f s: %s\n", time.Since(started).Seconds(), layout.Kubeconfig())
		return nil
	}
	return command
}

func downCommand() *cobra.Command {
	flags := clusterFlags{}
	command := &cobra.Command{
		Use:   "down --dir DIR",
		Short: "End the processes of a cluster and remove its data; the logs stay",
	}
	flags.add(command)
	command.RunE = func(*cobra.Command, []string) error {
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		return cluster.Down(layout)
	}
	return command
}

func restartAPIServerCommand() *cobra.Command {
	flags := clusterFlags{}
	var force bool
	var pause time.Duration
	command := &cobra.Command{
		Use:   "restart-apiserver --dir DIR",
		Short: "End kube-apiserver alone and start it again on the same port",
	}
	flags.add(command)
	flags.addWait(command)
	command.Flags().BoolVar(&force, "force", false, "kill instead of asking: a crash")
	command.Flags().DurationVar(&pause, "pause", 0, "how long the server stays away")
	command.RunE = func(*cobra.Command, []string) error {
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		started := time.Now()
		if err := cluster.RestartAPIServer(layout, force, pause, flags.limit()); err != nil {
			return err
		}
		fmt.Printf("ready again after %.1f s\n", time.Since(started).Seconds())
		return nil
	}
	return command
}
