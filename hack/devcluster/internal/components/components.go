// Package components holds the upstream programs that the one devcluster
// binary can become, each under its own name.
package components

import (
	"os"
	"sort"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectlcli "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	// Rest client latency and request metrics, as the upstream main packages register them.
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// programs maps the sub-command to the program. A new one (a scheduler, a
// kubelet) is one more row here and one more launch in package cluster.
// Every program reads os.Args, where its own name comes first.
var programs = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kubectl":                 func() int { return cli.Run(kubectlcli.NewDefaultKubectlCommand()) },
}

// Names lists the programs in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Run becomes the named program with the given arguments and returns its exit
// code. It reports false when there is no such program.
func Run(name string, args []string) (int, bool) {
	program, known := programs[name]
	if !known {
		return 0, false
	}
	os.Args = append([]string{name}, args...)
	return program(), true
}
