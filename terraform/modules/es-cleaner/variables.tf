# Inputs that only this module has. The others stand in function-variables.tf.

variable "elasticsearch_host" {
  description = "Host of the cluster, without https:// (a URL is taken too); several nodes with commas between."
  type        = string

  validation {
    condition     = alltrue([for node in split(",", var.elasticsearch_host) : can(regex("^(https?://)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[^\\s@]*)?$", trimspace(node)))])
    error_message = "elasticsearch_host is a host, or the URL of a cluster, without a user and a password: give those as settings.username and secret_settings.password."
  }
}

variable "elasticsearch_arn" {
  description = "ARN of the domain of Amazon OpenSearch Service (Elasticsearch Service), or of the collection of OpenSearch Serverless; null: a cluster that is not Amazon's."
  type        = string
  default     = null

  validation {
    condition     = var.elasticsearch_arn == null || can(regex("^arn:[a-z-]+:(es:[a-z0-9-]+:[0-9]+:domain/[a-z0-9-]+|aoss:[a-z0-9-]+:[0-9]+:collection/[a-z0-9]+)$", var.elasticsearch_arn))
    error_message = "elasticsearch_arn is the ARN of a domain, arn:aws:es:REGION:ACCOUNT:domain/NAME, or of a collection, arn:aws:aoss:REGION:ACCOUNT:collection/ID."
  }
}

variable "max_age_days" {
  description = "Indices whose date is older than this are deleted, 1 or more days."
  type        = number
  default     = 60

  validation {
    condition     = var.max_age_days >= 1 && floor(var.max_age_days) == var.max_age_days
    error_message = "max_age_days is 1 or more, in whole days."
  }
}

variable "index_name_prefix" {
  description = "Indices whose names begin so, and end in a date, are looked at; [\"*\"]: all that end in a date, as the original."
  type        = list(string)
  default     = ["*"]

  validation {
    condition     = length(var.index_name_prefix) > 0 && alltrue([for prefix in var.index_name_prefix : prefix == "*" || can(regex("^[a-z0-9][a-z0-9_.-]*$", prefix))])
    error_message = "index_name_prefix has beginnings of index names, or \"*\" alone; an empty one would be all."
  }
}

variable "exclude" {
  description = "Names that are kept, however old; * stands for any characters. Default: those of the original."
  type        = list(string)
  default     = ["*-reload"]

  validation {
    condition     = alltrue([for name in var.exclude : trimspace(name) != ""])
    error_message = "An entry of exclude is a name of an index, in which * stands for any characters."
  }
}

variable "dry_run_only" {
  description = "Whether the function only says what it would delete."
  type        = bool
  default     = false
}

variable "schedule_expression" {
  description = "When the function runs: cron(…) or rate(…), in UTC."
  type        = string

  validation {
    condition     = can(regex("^(cron|rate)\\(.+\\)$", var.schedule_expression))
    error_message = "schedule_expression is cron(…) or rate(…), for example cron(0 1 * * ? *)."
  }
}

variable "enable_schedule" {
  description = "Whether the schedule runs."
  type        = bool
  default     = true
}

variable "maximum_retry_attempts" {
  description = "How often Lambda tries a run again that failed, 0 to 2."
  type        = number
  default     = 2

  validation {
    condition     = contains([0, 1, 2], var.maximum_retry_attempts)
    error_message = "maximum_retry_attempts is 0, 1 or 2."
  }
}

variable "dead_letter_arn" {
  description = "Who gets the events of runs that failed: ARN of an SQS queue or an SNS topic (no FIFO)."
  type        = string
  default     = null

  validation {
    condition     = var.dead_letter_arn == null || (can(regex("^arn:[a-z-]+:(sqs|sns):", var.dead_letter_arn)) && !can(regex("[.]fifo$", var.dead_letter_arn)))
    error_message = "dead_letter_arn is the ARN of an SQS queue or an SNS topic, and not a FIFO one."
  }
}

variable "alarms" {
  description = "Alarms on the function's errors and throttles; null: none. actions are ARNs, such as SNS topics."
  type = object({
    actions            = list(string)
    ok_actions         = optional(list(string), [])
    errors             = optional(number, 1)
    throttles          = optional(number, 1)
    period_in_seconds  = optional(number, 300)
    evaluation_periods = optional(number, 1)
  })
  default = null

  validation {
    condition     = var.alarms == null || try(alltrue([for arn in concat(var.alarms.actions, var.alarms.ok_actions) : can(regex("^arn:", arn))]), true)
    error_message = "alarms.actions and alarms.ok_actions are ARNs."
  }
}
