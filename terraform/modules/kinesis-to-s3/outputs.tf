# This file is the same in all modules that read a stream; terraform/tests compares them.

output "function_arn" {
  description = "ARN of the function."
  value       = module.function.function_arn
}

output "function_name" {
  description = "Name of the function."
  value       = module.function.function_name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = module.function.role_arn
}

output "role_name" {
  description = "Name of the function's role, for policies of your own."
  value       = module.function.role_name
}

output "policy" {
  description = "The policy of the function's role, as JSON."
  value       = module.function.policy
}

output "environment" {
  description = "The environment variables of the function, without those of secret_settings."
  value       = module.function.environment
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = module.function.log_group_name
}

output "code_sha256" {
  description = "SHA-256 in base64 of the package that Lambda has."
  value       = module.function.code_sha256
}

output "event_source_mapping_uuid" {
  description = "Identifier of the event source mapping."
  value       = module.mapping.uuid
}

output "event_source_mapping_arn" {
  description = "ARN of the event source mapping."
  value       = module.mapping.arn
}

output "consumer_arn" {
  description = "ARN of the consumer with enhanced fan-out; null without."
  value       = module.mapping.consumer_arn
}

output "alarm_arns" {
  description = "ARNs of the alarms, by metric."
  value       = module.function.alarm_arns
}
