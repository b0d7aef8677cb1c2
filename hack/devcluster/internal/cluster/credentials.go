package cluster

import (
	"crypto/x509/pkix"
	"net"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"bulkhead.dev/devcluster/internal/fabric"
)

// mastersGroup bypasses RBAC and the server's own request limits, as the
// administrator's kubeconfig of an installed OpenShift does.
const mastersGroup = "system:masters"

// writeCredentials makes the certificate authority, the serving certificate,
// the token keys and the kubeconfigs of a new cluster.
func writeCredentials(layout Layout, state *State) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	serving, err := ca.issue(pkix.Name{CommonName: "kube-apiserver"},
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		[]net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(fabric.Gateway), net.ParseIP(serviceAddress)})
	if err != nil {
		return err
	}
	if err := writeServiceAccountKeys(layout); err != nil {
		return err
	}
	if err := writeFiles(layout, map[string][]byte{
		"ca.crt": ca.pem, "apiserver.crt": serving.certificate, "apiserver.key": serving.key,
	}); err != nil {
		return err
	}
	for _, kubeconfig := range []struct{ user, group, file, server string }{
		{"system:admin", mastersGroup, layout.Kubeconfig(), state.APIServerURL},
		{"system:kube-controller-manager", mastersGroup, layout.controllerManagerConfig(), state.inside().apiServerURL()},
	} {
		if err := ca.writeKubeconfig(kubeconfig.file, kubeconfig.server, kubeconfig.user, kubeconfig.group); err != nil {
			return err
		}
	}
	if len(state.Nodes) == 0 {
		return nil
	}
	return writeNodeCredentials(layout, state, ca)
}

// writeKubeconfig issues a client certificate for the user and writes a
// kubeconfig around it.
func (a *authority) writeKubeconfig(file, server, user, group string) error {
	client, err := a.issue(pkix.Name{CommonName: user, Organization: []string{group}}, nil, nil)
	if err != nil {
		return err
	}
	return writeKubeconfig(file, server, user, a, client)
}

func writeKubeconfig(file, server, user string, ca *authority, client identity) error {
	const name = "devcluster"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca.pem}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: client.certificate,
		ClientKeyData:         client.key,
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, file)
}
