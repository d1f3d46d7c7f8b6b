# Ranges are checked by the modules that call this one.

variable "module" {
  description = "Which module of baikonur the function is; the variable BAIKONUR_MODULE."
  type        = string
}

variable "name" {
  description = "Name of the function."
  type        = string
}

variable "description" {
  description = "Description of the function."
  type        = string
}

variable "statements" {
  description = "Statements of the role's policy beside those that every function has."
  type        = any
}

variable "module_environment" {
  description = "The originals' environment variables."
  type        = map(string)
}

variable "reads_a_stream" {
  description = "Whether there is an iterator age to watch."
  type        = bool
}

variable "dead_letter_arn" {
  description = "Queue or topic for events of asynchronous invocations that failed."
  type        = string
  default     = null
}

variable "lambda_package_url" {
  type = string
}

variable "lambda_package_file" {
  type = string
}

variable "lambda_package_s3_bucket" {
  type = string
}

variable "lambda_package_s3_key" {
  type = string
}

variable "lambda_package_s3_object_version" {
  type = string
}

variable "lambda_package_base64sha256" {
  type = string
}

variable "handler" {
  type = string
}

variable "runtime" {
  type = string
}

variable "architectures" {
  type = list(string)
}

variable "layers" {
  type = list(string)
}

variable "memory" {
  type = number
}

variable "timeout" {
  type = number
}

variable "reserved_concurrent_executions" {
  type = number
}

variable "settings" {
  type = any
}

variable "secret_settings" {
  type      = map(string)
  sensitive = true
}

variable "environment" {
  type = map(string)
}

variable "environment_kms_key_arn" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "security_group_ids" {
  type = list(string)
}

variable "permissions_boundary_arn" {
  type = string
}

variable "tracing_mode" {
  type = string
}

variable "log_retention_in_days" {
  type = number
}

variable "log_kms_key_arn" {
  type = string
}

variable "log_format" {
  type = string
}

variable "application_log_level" {
  type = string
}

variable "system_log_level" {
  type = string
}

variable "alarms" {
  type = object({
    actions                   = list(string)
    ok_actions                = list(string)
    errors                    = number
    throttles                 = number
    iterator_age_milliseconds = optional(number)
    period_in_seconds         = number
    evaluation_periods        = number
  })
}

variable "tags" {
  type = map(string)
}
