package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/devcluster/internal/cluster"
	"bulkhead.dev/devcluster/internal/fabric"
	"bulkhead.dev/devcluster/internal/images"
	"bulkhead.dev/devcluster/internal/node"
)

func loadImageCommand() *cobra.Command {
	flags := clusterFlags{}
	command := &cobra.Command{
		Use:   "load-image --dir DIR NAME BINARY [ARG…]",
		Short: "Make an image of one static binary and give it to all nodes",
	}
	flags.add(command)
	command.Args = cobra.MinimumNArgs(2)
	// What follows the binary belongs to it, flags too.
	command.Flags().SetInterspersed(false)
	command.RunE = func(_ *cobra.Command, args []string) error {
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		return cluster.LoadImage(layout, images.Image{Name: args[0], Binary: args[1], Args: args[2:]})
	}
	return command
}

func restartNodePartCommand() *cobra.Command {
	flags := clusterFlags{}
	var name, part string
	var order node.RestartOrder
	command := &cobra.Command{
		Use:   "restart-node-part --dir DIR --node NODE --part " + strings.Join(node.PartNames(), "|"),
		Short: "End one program of a node and start it again",
	}
	flags.add(command)
	command.Flags().StringVar(&name, "node", "", "name of the node, for example node-1 (required)")
	command.Flags().StringVar(&part, "part", "", "which program (required)")
	command.Flags().BoolVar(&order.Force, "force", false, "kill instead of asking: a crash")
	command.Flags().DurationVar(&order.Pause, "pause", 0, "how long it stays away")
	flags.addWait(command)
	command.Flags().Lookup("wait").Usage = "seconds until it must work again; 0 does not wait"
	command.RunE = func(*cobra.Command, []string) error {
		if !slices.Contains(node.PartNames(), part) {
			return fmt.Errorf("--part %q: choose one of %s", part, strings.Join(node.PartNames(), ", "))
		}
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		order.Wait = flags.limit()
		return cluster.RestartPart(layout, name, part, order)
	}
	return command
}

func deniedCommand() *cobra.Command {
	flags := clusterFlags{}
	command := &cobra.Command{
		Use:   "denied --dir DIR",
		Short: "Print how many packets the nodes have dropped because of a policy since they began",
		Args:  cobra.NoArgs,
	}
	flags.add(command)
	command.RunE = func(*cobra.Command, []string) error {
		layout, err := cluster.NewLayout(flags.dir)
		if err != nil {
			return err
		}
		count, err := cluster.Denied(layout)
		if err == nil {
			fmt.Println(count)
		}
		return err
	}
	return command
}

// The remaining ones are not for people: `up` starts them.

func networkCommand() *cobra.Command {
	var nodes int
	command := &cobra.Command{Use: "network", Hidden: true, Args: cobra.NoArgs}
	command.Flags().IntVar(&nodes, "nodes", 0, "how many nodes to route to")
	command.RunE = func(*cobra.Command, []string) error { return fabric.Hold(nodes) }
	return command
}

func forwardCommand() *cobra.Command {
	return &cobra.Command{Use: "forward TARGET…", Hidden: true, RunE: func(_ *cobra.Command, args []string) error {
		return fabric.Forward(args)
	}}
}

func nodeCommand() *cobra.Command {
	var file string
	command := &cobra.Command{Use: "node", Hidden: true, Args: cobra.NoArgs}
	command.Flags().StringVar(&file, "config", "", "what to be")
	command.RunE = func(*cobra.Command, []string) error { return node.Init(file) }
	return command
}

func nodeAgentCommand() *cobra.Command {
	return &cobra.Command{Use: node.AgentCommand, Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error { return node.RunAgent(args) }}
}

func nodeTrialCommand() *cobra.Command {
	return &cobra.Command{Use: node.TrialCommand, Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			snapshotter, err := node.Trial(args[0], args[1])
			if err == nil {
				fmt.Println(snapshotter)
			}
			return err
		}}
}

// exitUnfit is the exit code for a machine that cannot have nodes, the one by
// which test harnesses tell a skip from a failure.
const exitUnfit = 77

func exitCode(err error) int {
	if unfit := (*cluster.UnfitError)(nil); errors.As(err, &unfit) {
		return exitUnfit
	}
	return 1
}
