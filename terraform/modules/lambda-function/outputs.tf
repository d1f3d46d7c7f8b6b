output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.function.arn
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.function.function_name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.role.arn
}

output "role_name" {
  description = "Name of the function's role."
  value       = aws_iam_role.role.name
}

output "policy" {
  description = "The policy of the role, as JSON."
  value       = aws_iam_role_policy.policy.policy
}

output "log_group_name" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.logs.name
}

output "environment" {
  description = "The environment variables of the function, without those of secret_settings."
  value       = local.plain_environment
}

output "alarm_arns" {
  description = "ARNs of the alarms, by metric."
  value       = { for metric, alarm in aws_cloudwatch_metric_alarm.alarm : metric => alarm.arn }
}

output "code_sha256" {
  description = "SHA-256 of the package that Lambda has, in base64."
  value       = aws_lambda_function.function.code_sha256
}
