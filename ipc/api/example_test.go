package api_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"connectrpc.com/connect"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/ipc/console"
)

// A program asks for a signature and shows what it signed. In earnest the socket
// is /run/sealward/sign.sock, and the daemon answers.
func Example() {
	socket, stop := pretendDaemon()
	defer stop()

	client := api.Dial(socket)
	defer client.Close()

	res, err := client.Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{
		Id:   "invoice-2041", // choose it once and keep it: a retry with it is safe
		Key:  "hot",
		Kind: "evm.transaction",
		PayloadText: `{"chainId":"0x1","nonce":"0x7","to":"0x52908400098527886E0F7030069857D2E4169EE7",
			"value":"0x14d1120d7b160000","gas":"0x5208","maxFeePerGas":"0x4a817c800","maxPriorityFeePerGas":"0x3b9aca00"}`,
		Claim: "hosting, November",
	}})
	if err != nil {
		log.Print(err) // such as: denied: ...
		return
	}
	intent, err := api.ReadIntent(res.GetIntent())
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Print(console.Intent(intent, nil, console.Names{}))
	fmt.Printf("leaf %d, send: 0x%x\n", res.GetLeaf(), res.GetArtifact())
	// Output:
	// CLASS    transfer: SENDS value
	//
	// SENDS    1.5 ether (1500000000000000000 base units)
	//          to 0x52908400098527886E0F7030069857D2E4169EE7
	//          from 0x2c7536E3605D9C16a7a3D7b1898e529396a65c23 on eip155:1
	// FEE      at most 0.00042 ether (420000000000000 base units)
	// TOTAL    at most 1.50042 ether (1500420000000000000 base units)
	// leaf 12, send: 0x02f8
}

// payment answers every request with the same payment.
type payment struct {
	sealwardv1connect.UnimplementedSignerServiceHandler
}

func (payment) Sign(_ context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	const coin = "eip155:1/slip44:60"
	return connect.NewResponse(&v1.SignResponse{
		Id: m.Msg.GetRequest().GetId(), Leaf: 12, OutcomeLeaf: 13, Artifact: []byte{0x02, 0xf8},
		Intent: &v1.Intent{
			Version: 1, Kind: "evm.transaction", Class: "transfer", Complete: true,
			Effects: []*v1.Effect{{
				Class: "transfer", Actor: "eip155:1:0x2c7536E3605D9C16a7a3D7b1898e529396a65c23", Counterparty: "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7",
				Quantity: &v1.Quantity{Kind: "exact", Asset: coin, Amount: "1500000000000000000"},
			}},
			Fees:    &v1.Quantity{Kind: "at_most", Asset: coin, Amount: "420000000000000"},
			Outflow: []*v1.Quantity{{Kind: "at_most", Asset: coin, Amount: "1500420000000000000"}},
		},
	}), nil
}

// pretendDaemon listens where the example asks.
func pretendDaemon() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Panic(err)
	}
	socket = filepath.Join(dir, "sign.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(payment{}))
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(l) }()
	return socket, func() { _ = srv.Close(); _ = os.RemoveAll(dir) }
}
