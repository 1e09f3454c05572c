#include "bench_report.h"

static double seconds(const struct result *result)
{
    return result->ns > 0 ? (double)result->ns / 1e9 : 1e-9;
}

static double quantile_us(const struct result *result, double part)
{
    return (double)histogram_quantile(&result->latency, part) / 1e3;
}

static double per_frame(const struct result *result, uint64_t value)
{
    return result->frames > 0 ? (double)value / (double)result->frames : 0;
}

void report_text(FILE *to, const struct options *options, const struct result *result)
{
    uint32_t i;

    fprintf(to, "connections  %llu\n", (unsigned long long)result->connections);
    fprintf(to, "frames       %llu of %llu answered%s\n", (unsigned long long)result->frames,
            (unsigned long long)result->frames_sent,
            !options->verify     ? ", bytes not checked"
            : result->frames > 0 ? ", every byte as sent"
                                 : "");
    fprintf(to, "bytes        %llu each way\n", (unsigned long long)result->bytes);
    fprintf(to, "time         %.3f s, %.0f frames/s, %.1f MB/s each way\n", seconds(result),
            (double)result->frames / seconds(result),
            (double)result->bytes / seconds(result) / 1e6);
    fprintf(to, "round trip   p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n",
            quantile_us(result, 0.5), quantile_us(result, 0.99), quantile_us(result, 0.999),
            quantile_us(result, 1));
    for (i = 0; i < options->pid_count; i++) {
        const struct result_process *process = &result->processes[i];

        fprintf(to, "process      %llu: %.2f us of CPU a frame, %llu bytes resident\n",
                (unsigned long long)process->id, per_frame(result, process->cpu_us),
                (unsigned long long)process->resident_bytes);
    }
    for (i = 0; i < RESULT_ERROR_KINDS; i++)
        if (result->errors[i] > 0)
            fprintf(to, "errors       %llu %s\n", (unsigned long long)result->errors[i],
                    result_error_text((enum result_error)i));
}

// Texts here are ours and codec descriptions: only these two bytes could break a JSON string.
static void json_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
    }
    fputc('"', to);
}

void report_json(FILE *to, const struct options *options, const struct result *result)
{
    uint32_t i;

    fprintf(to, "{\n  \"frame\": ");
    json_text(to, options->frame);
    fprintf(to,
            ",\n  \"clients\": %u,\n  \"idle\": %u,\n  \"size_min\": %llu,\n  \"size_max\": %llu,\n"
            "  \"window\": %u,\n  \"rate\": %u,\n  \"verified\": %s,\n",
            (unsigned)options->clients, (unsigned)options->idle,
            (unsigned long long)options->size_min, (unsigned long long)options->size_max,
            (unsigned)options->window, (unsigned)options->rate, options->verify ? "true" : "false");
    fprintf(to,
            "  \"connections\": %llu,\n  \"frames_sent\": %llu,\n  \"frames\": %llu,\n"
            "  \"bytes\": %llu,\n  \"seconds\": %.6f,\n  \"frames_per_second\": %.1f,\n",
            (unsigned long long)result->connections, (unsigned long long)result->frames_sent,
            (unsigned long long)result->frames, (unsigned long long)result->bytes, seconds(result),
            (double)result->frames / seconds(result));
    fprintf(to,
            "  \"p50_us\": %.1f,\n  \"p99_us\": %.1f,\n  \"p999_us\": %.1f,\n  \"max_us\": %.1f,\n",
            quantile_us(result, 0.5), quantile_us(result, 0.99), quantile_us(result, 0.999),
            quantile_us(result, 1));
    fprintf(to, "  \"processes\": [");
    for (i = 0; i < options->pid_count; i++)
        fprintf(to,
                "%s\n    {\"pid\": %llu, \"cpu_us\": %llu, \"cpu_us_per_frame\": %.3f, "
                "\"resident_bytes\": %llu}",
                i > 0 ? "," : "", (unsigned long long)result->processes[i].id,
                (unsigned long long)result->processes[i].cpu_us,
                per_frame(result, result->processes[i].cpu_us),
                (unsigned long long)result->processes[i].resident_bytes);
    fprintf(to, "],\n  \"errors\": {");
    for (i = 0; i < RESULT_ERROR_KINDS; i++) {
        fprintf(to, "%s", i > 0 ? ", " : "");
        json_text(to, result_error_text((enum result_error)i));
        fprintf(to, ": %llu", (unsigned long long)result->errors[i]);
    }
    fprintf(to, "},\n  \"first_error\": ");
    json_text(to, result->first_error);
    fprintf(to, "\n}\n");
}
