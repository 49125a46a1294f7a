version = 1

rule "payouts" {
  keys = ["hot"]
  deny = "not before Monday"
}
