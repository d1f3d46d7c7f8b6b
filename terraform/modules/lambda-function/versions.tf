terraform {
  required_version = ">= 1.5.0"

  required_providers {
    # 5.82 is the first whose event source mapping has every argument that is used here (metrics, tags, a key for filters).
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.82.0, < 7.0.0"
    }
  }
}
