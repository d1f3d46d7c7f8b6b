variable "region" {
  description = "Region of everything."
  type        = string
}

variable "name" {
  description = "Stands before the names of all resources."
  type        = string
  default     = "logs"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.name))
    error_message = "name is 1 to 20 small letters, digits and '-', and begins with a letter."
  }
}

variable "bucket" {
  description = "Name of the bucket that is made for the logs; no other in the world may have it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is 3 to 63 small letters, digits, '-' and '.'."
  }
}

variable "lambda_package_file" {
  description = "The package as a file. This, or the next."
  type        = string
  default     = null
}

variable "lambda_package_url" {
  description = "The package as the URL of an object in S3."
  type        = string
  default     = null
}

variable "lambda_package_base64sha256" {
  description = "SHA-256 of the package in base64."
  type        = string
  default     = null
}

variable "architectures" {
  description = "Processor that the package was built for."
  type        = list(string)
  default     = ["arm64"]
}

variable "retention_hours" {
  description = "How long streams keep records, 24 to 8760 hours: so long may a destination be down."
  type        = number
  default     = 24
}

variable "alarm_email" {
  description = "Who gets alarms; null: nobody."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}

variable "targets" {
  description = "The target streams by name: the log types that each gets (names, prefix*, !name; empty: all), and whether they are archived in S3."
  type = map(object({
    log_types = list(string)
    archive   = optional(bool, true)
  }))
  default = {
    stream-a = { log_types = ["apache_*", "nginx_*"] }
    stream-b = { log_types = ["*", "!apache_*", "!nginx_*"] }
    stream-c = { log_types = [], archive = false }
  }

  validation {
    condition     = alltrue([for name in keys(var.targets) : can(regex("^[a-z0-9-]{1,20}$", name))])
    error_message = "The names of targets are 1 to 20 small letters, digits and '-'."
  }
}

variable "enhanced_fan_out" {
  description = "Whether each forwarding function reads the router with a throughput of its own."
  type        = bool
  default     = false
}
