package populate

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// manager is the field manager of everything that nobody else claims.
const manager = "devcluster-populate"

// clients talk to the cluster and count what they did.
type clients struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface

	mutex          sync.Mutex
	created, found map[string]int
}

func newClients(kubeconfig string) (*clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.UserAgent = manager
	forDynamic := rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dynamicClient, err := dynamic.NewForConfig(forDynamic)
	if err != nil {
		return nil, err
	}
	return &clients{kube: kube, dynamic: dynamicClient, created: map[string]int{}, found: map[string]int{}}, nil
}

func (c *clients) count(kind string, isNew bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if isNew {
		c.created[kind]++
	} else {
		c.found[kind]++
	}
}

// resourceAPI is the part of a typed client that ensure needs.
type resourceAPI[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Get(context.Context, string, metav1.GetOptions) (T, error)
}

// ensure creates the object, or returns the one that exists as it is.
func ensure[T metav1.Object](ctx context.Context, c *clients, kind string, api resourceAPI[T], object T) (T, error) {
	result, err := api.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		c.count(kind, false)
		return api.Get(ctx, object.GetName(), metav1.GetOptions{})
	}
	if err == nil {
		c.count(kind, true)
	}
	return result, err
}
