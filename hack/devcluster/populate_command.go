package main

import (
	"github.com/spf13/cobra"

	"bulkhead.dev/devcluster/internal/facts"
	"bulkhead.dev/devcluster/internal/populate"
)

func populateCommand() *cobra.Command {
	options := populate.Options{}
	command := &cobra.Command{
		Use:   "populate --kubeconfig FILE",
		Short: "Fill a cluster with what an OpenShift installation holds",
		Args:  cobra.NoArgs,
	}
	flags := command.Flags()
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "administrator's kubeconfig (required)")
	flags.StringVar(&options.Facts, "facts", "", "facts file (the script names the one of this repository)")
	flags.StringVar(&options.Platform, "platform", populate.PlatformOpenShift, "openshift, or kubernetes for a cluster without system namespaces")
	flags.StringVar(&options.Line, "upstream-policies", facts.Line50, "release line whose shipped policies are created: 4.20, 5.0 or none")
	flags.StringVar(&options.Release, "release", "", "version that the ClusterVersion reports (default 4.20.0 or 5.0.0, after the line)")
	flags.IntVar(&options.Copies, "copies", 1, "how often each namespace of the facts exists; copies are called NAME-c2 and so on")
	flags.IntVar(&options.PodsPerWorkload, "pods-per-workload", 2, "pods of each controller; jobs and bare pods have one")
	flags.StringSliceVar(&options.Namespaces, "namespaces", nil, "only these namespaces of the facts")
	flags.StringVar(&options.NetworkCRD, "network-crd", "openshift", "openshift creates the Network CRD as shipped unless one exists; none leaves it out")
	flags.BoolVar(&options.Awkward, "awkward", true, "add namespaces that are unlisted, terminating or squatted")
	flags.IntVar(&options.Workers, "workers", 32, "requests in flight")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return populate.Run(command.Context(), options, command.OutOrStdout())
	}
	return command
}
