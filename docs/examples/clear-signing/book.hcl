# What the owner of the examples knows of the world. Nothing else has a name.
version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}
asset "dai" {
  id       = "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F"
  decimals = 18
}
asset "apes" {
  id       = "eip155:1/erc721:0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D"
  decimals = 0
}

addresses "payees" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
    "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D" = "Initech"
  }
}
addresses "spenders" {
  entries = { "eip155:1:0x3fC91A3afd70395Cd496C647d5a6CC9D4B2b7FAD" = "the router" }
}

contract "cold_wallet" {
  account = "eip155:1:0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4"
  kind    = "safe"
}
contract "treasury" {
  account = "eip155:1:0x4F2083f5fBede34C2714aFfb3105539775f7FE64"
  kind    = "safe"
}
contract "our_account" {
  account = "eip155:1:0x75cf11467937ce3F2f357CE24ffc3DBF8fD5c226"
  kind    = "account"
}
