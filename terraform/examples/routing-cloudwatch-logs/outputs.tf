output "router_name" {
  description = "The stream that applications put records into."
  value       = aws_kinesis_stream.router.name
}

output "target_names" {
  description = "The target streams."
  value       = { for name, stream in aws_kinesis_stream.target : name => stream.name }
}

output "archives" {
  description = "Where the logs are in S3, by target."
  value       = { for name in keys(module.archive) : name => "s3://${aws_s3_bucket.logs.id}/archive/${name}" }
}

output "subscribed_log_groups" {
  description = "The log groups that feed the router."
  value       = sort(keys(aws_cloudwatch_log_subscription_filter.router))
}
