package cluster

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// DNS wears the names, labels and ports that it has on OpenShift.
const (
	dnsNamespace = "openshift-dns"
	dnsName      = "dns-default"
)

//go:embed addons/dns.yaml
var dnsManifest string

// applyAddons creates what every cluster with nodes carries.
func applyAddons(layout Layout) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	manifest := strings.NewReplacer("$IMAGE", corednsImage, "$ADDRESS", dnsAddress).Replace(dnsManifest)
	command := exec.Command(executable, "kubectl", "--kubeconfig="+layout.Kubeconfig(),
		"apply", "--server-side", "--force-conflicts", "--field-manager=devcluster", "--filename=-")
	command.Env = append(os.Environ(), "HOME="+layout.path("pki")) // kubectl's cache goes with the cluster
	command.Stdin = strings.NewReader(manifest)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("creating the cluster's DNS: %w: %s", err, output)
	}
	return nil
}
