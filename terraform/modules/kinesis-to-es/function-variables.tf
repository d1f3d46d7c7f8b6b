# Inputs of the function. This file is the same in all modules; terraform/tests compares them.

variable "name" {
  description = "Name of the function. Its role is lambda_{name}, its log group /aws/lambda/{name}."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,57}$", var.name))
    error_message = "name is 1 to 57 letters, digits, '-' or '_': with lambda_ before it, it names the role, which may have 64."
  }
}

variable "lambda_package_url" {
  description = "The package as the URL of an object in S3: s3://bucket/key, or https:// as S3 writes it; ?versionId= may follow."
  type        = string
  default     = null

  validation {
    condition = var.lambda_package_url == null || can(regex(
      "^(s3://[a-z0-9.-]+/[^?%]+|https://(s3[.-]([a-z0-9-]+[.])?amazonaws[.]com([.]cn)?/[a-z0-9.-]+|[a-z0-9.-]+[.]s3[.-]([a-z0-9-]+[.])?amazonaws[.]com([.]cn)?)/[^?%]+)([?]versionId=[^&]+)?$",
      var.lambda_package_url,
    ))
    error_message = "lambda_package_url names no object in S3, and Lambda takes a package from S3 or from a file alone. For any other URL see docs/terraform.md, \"A package from a URL\"."
  }
}

variable "lambda_package_file" {
  description = "The package as a file on the machine that runs Terraform."
  type        = string
  default     = null

  validation {
    condition     = var.lambda_package_file == null || can(filebase64sha256(var.lambda_package_file))
    error_message = "The file of lambda_package_file cannot be read."
  }
}

variable "lambda_package_s3_bucket" {
  description = "The package as an object in S3: the bucket, which has to be in the function's region."
  type        = string
  default     = null
}

variable "lambda_package_s3_key" {
  description = "With lambda_package_s3_bucket: the key."
  type        = string
  default     = null
}

variable "lambda_package_s3_object_version" {
  description = "With lambda_package_s3_bucket: the version of the object, in a bucket that keeps versions."
  type        = string
  default     = null
}

variable "lambda_package_base64sha256" {
  description = "SHA-256 of the package in base64 (openssl dgst -sha256 -binary FILE | base64). A file is compared with it; for an object in S3 a new value says that the package has changed."
  type        = string
  default     = null

  validation {
    condition     = var.lambda_package_base64sha256 == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.lambda_package_base64sha256))
    error_message = "lambda_package_base64sha256 is a SHA-256 in base64, 44 characters: openssl dgst -sha256 -binary FILE | base64. What sha256sum prints is the same in hexadecimal digits."
  }
}

variable "handler" {
  description = "Handler of the function: any text will do, since BAIKONUR_MODULE names the module. Default: the module's name. The originals' main.handler works."
  type        = string
  default     = null

  validation {
    condition     = var.handler == null || can(regex("^[^\\s]{1,128}$", var.handler))
    error_message = "handler is 1 to 128 characters without blanks."
  }
}

variable "runtime" {
  description = "Runtime of the function."
  type        = string
  default     = "provided.al2023"

  validation {
    condition     = var.runtime == "provided.al2023"
    error_message = "runtime is provided.al2023: the package is one binary, bootstrap, that needs its C library. The originals' Python runtimes run no binary; leave runtime out."
  }
}

variable "layers" {
  description = "ARNs of layer versions, for example with certificates of your own below /opt."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.layers) <= 5
    error_message = "layers has 5 entries at most."
  }
}

variable "architectures" {
  description = "Processor that the package was built for: [\"arm64\"], a fifth cheaper, or [\"x86_64\"]."
  type        = list(string)
  default     = ["arm64"]

  validation {
    condition     = try(contains(["arm64", "x86_64"], one(var.architectures)), false)
    error_message = "architectures is [\"arm64\"] or [\"x86_64\"], one of them, as the package."
  }
}

variable "memory" {
  description = "Memory of the function in megabytes, 128 to 10240. Lambda gives processor time by it."
  type        = number
  default     = 256

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240 && floor(var.memory) == var.memory
    error_message = "memory is 128 to 10240 megabytes."
  }
}

variable "timeout" {
  description = "Timeout of an invocation in seconds, 1 to 900."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "timeout is 1 to 900 seconds."
  }
}

variable "reserved_concurrent_executions" {
  description = "Invocations that are kept for this function, and its most at the same time; -1: as many as the account has."
  type        = number
  default     = -1

  validation {
    condition     = var.reserved_concurrent_executions >= -1 && floor(var.reserved_concurrent_executions) == var.reserved_concurrent_executions
    error_message = "reserved_concurrent_executions is -1 (no reservation), 0 (the function never runs) or more."
  }
}

variable "timezone" {
  description = "Zone of times without an offset, an IANA name."
  type        = string
  default     = "UTC"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_+/-]*$", var.timezone))
    error_message = "timezone is an IANA name such as Asia/Tokyo."
  }
}

variable "settings" {
  description = "More settings of the module by the keys of docs/configuration.md: each becomes BAIKONUR_{KEY}; a list or a table as JSON."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings)) && alltrue([for key in try(keys(var.settings), []) : can(regex("^[a-z][a-z0-9_]*$", key))])
    error_message = "settings is an object whose keys are those of docs/configuration.md, in small letters: { buffer_seconds = 60 }."
  }
  validation {
    condition = length(setintersection(try(keys(var.settings), []), [
      "module", "type", "source", "enabled", "consumption", "consumer_name", "batch_size",
      "maximum_batching_window_in_seconds", "parallelization_factor", "starting_position", "starting_position_timestamp",
      "maximum_retry_attempts", "maximum_record_age_in_seconds", "bisect_batch_on_function_error",
      "tumbling_window_in_seconds", "in_flight_bytes", "on_failure_destination",
    ])) == 0
    error_message = "settings holds a key of the event source mapping, which AWS Lambda carries out: give it as an input of its own (batch_size, maximum_retry_attempts, …). A tumbling window, a source and a type cannot be given."
  }
  validation {
    condition = length(setintersection(try(keys(var.settings), []), [
      "destination", "log_bucket", "log_path_prefix", "elasticsearch_host", "fluent_sink_endpoint", "target_stream_name",
      "targets", "failed_store", "failed_log_s3_bucket", "failed_log_s3_prefix",
    ])) == 0
    error_message = "settings says where records go: give that as the input of its own, since the role's rights follow from it."
  }
}

variable "secret_settings" {
  description = "As settings, for texts that plans shall not show, such as password. They stand in the state and in the function's configuration."
  type        = map(string)
  default     = {}
  sensitive   = true

  validation {
    condition     = alltrue([for key in keys(var.secret_settings) : can(regex("^[a-z][a-z0-9_]*$", key))])
    error_message = "The keys of secret_settings are those of docs/configuration.md, in small letters: { password = … }."
  }
}

variable "environment" {
  description = "More environment variables, for example RUST_LOG."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.environment) : can(regex("^[A-Za-z][A-Za-z0-9_]+$", key))])
    error_message = "The names in environment have two or more letters, digits or '_', and begin with a letter."
  }
}

variable "environment_kms_key_arn" {
  description = "Key that the environment variables are encrypted with; null: Lambda's own."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of a function in a VPC; empty: outside of one."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of a function in a VPC."
  type        = list(string)
  default     = []
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what the function's role may do."
  type        = string
  default     = null
}

variable "tracing_mode" {
  description = "X-Ray: PassThrough, or Active."
  type        = string
  default     = "PassThrough"

  validation {
    condition     = contains(["PassThrough", "Active"], var.tracing_mode)
    error_message = "tracing_mode is PassThrough or Active."
  }
}

variable "log_retention_in_days" {
  description = "How long CloudWatch keeps the function's own log; 0: for ever."
  type        = number
  default     = 30

  validation {
    condition = contains(
      [0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_in_days,
    )
    error_message = "log_retention_in_days is 0 (for ever) or one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "log_kms_key_arn" {
  description = "Key that the function's own log is encrypted with; its policy has to let CloudWatch Logs use it."
  type        = string
  default     = null
}

variable "log_format" {
  description = "Format of the function's own log: JSON, or Text."
  type        = string
  default     = "JSON"

  validation {
    condition     = contains(["JSON", "Text"], var.log_format)
    error_message = "log_format is JSON or Text."
  }
}

variable "application_log_level" {
  description = "With JSON: the least level of the function's lines."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.application_log_level)
    error_message = "application_log_level is TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }
}

variable "system_log_level" {
  description = "With JSON: the least level of Lambda's lines."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARN"], var.system_log_level)
    error_message = "system_log_level is DEBUG, INFO or WARN."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
