// e2e-exits: a worker that ends at once.
#include "os.h"

int main(void)
{
    os_init();
    return 3;
}
